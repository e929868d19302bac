//! What tasks have cost.

use crate::seed::database;
use domain::plan::{Cost, Sample};
use entity::{DatabaseConnection, cost};
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait};

async fn record(db: &DatabaseConnection, class: &str, sample: &Sample) {
    let recorded = entity::write(db, async |db| cost::record(db, class, sample).await);
    recorded.await.unwrap();
}

#[tokio::test]
async fn the_cost_of_the_latest_tasks_of_a_class_is_remembered() {
    let (db, _directory) = database("cost").await;
    let sample = |wall_s: f64| Sample {
        predicted: Cost {
            cpu_s: 1.5,
            wall_s: 1.0,
            bytes: 4e12,
        },
        actual: Cost {
            cpu_s: 2.0,
            wall_s,
            bytes: 3.0,
        },
    };
    for wall_s in [1.0, 2.25, 3.0] {
        record(&db, "mp4", &sample(wall_s)).await;
    }
    record(&db, "hls", &sample(9.0)).await;
    let learned = async || cost::history(&db, "mp4").await.unwrap();
    assert_eq!(
        learned().await,
        [sample(3.0), sample(2.25), sample(1.0)],
        "the newest first"
    );

    for _ in 0..cost::REMEMBERED - 1 {
        record(&db, "mp4", &sample(4.0)).await;
    }
    let (remembered, rows) = (
        usize::try_from(cost::REMEMBERED).unwrap(),
        cost::Entity::find().count(&db).await.unwrap(),
    );
    assert_eq!(
        (learned().await.len(), learned().await.last()),
        (remembered, Some(&sample(3.0)))
    );
    assert_eq!(
        rows,
        cost::REMEMBERED + 1,
        "the older ones are gone, those of other classes stay"
    );
}

#[tokio::test]
async fn classes_that_nobody_uses_any_more_are_forgotten() {
    let (db, _directory) = database("cost_classes").await;
    let cost = || Cost {
        cpu_s: 1.0,
        wall_s: 1.0,
        bytes: 1.0,
    };
    let sample = Sample {
        predicted: cost(),
        actual: cost(),
    };
    for class in ["rare", "common"] {
        record(&db, class, &sample).await;
    }
    // The next row is number 3: the first of the two is one too many then.
    let long_ago = format!("UPDATE costs SET id = id - {}", cost::REMEMBERED_IN_ALL - 2);
    db.execute_unprepared(&long_ago).await.unwrap();
    record(&db, "common", &sample).await;
    let of_class = async |class| cost::history(&db, class).await.unwrap().len();
    assert_eq!((of_class("rare").await, of_class("common").await), (0, 2));
}
