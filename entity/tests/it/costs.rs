//! The costs of processed tasks.

use crate::seed::database;
use domain::plan::{Cost, CostSample};
use entity::{DatabaseConnection, cost};
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait};

async fn record(db: &DatabaseConnection, class: &str, sample: &CostSample) {
    let recorded = entity::write(db, async |db| cost::record(db, class, sample).await);
    recorded.await.unwrap();
}

#[tokio::test]
async fn the_costs_of_the_latest_tasks_of_a_class_are_stored() {
    let (db, _directory) = database("cost").await;
    let sample = |wall_s: f64| CostSample {
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
    let history = async || cost::history(&db, "mp4").await.unwrap();
    assert_eq!(
        history().await,
        [sample(3.0), sample(2.25), sample(1.0)],
        "the latest first"
    );

    for _ in 0..cost::MAX_ROWS_OF_CLASS - 1 {
        record(&db, "mp4", &sample(4.0)).await;
    }
    let (limit, rows) = (
        usize::try_from(cost::MAX_ROWS_OF_CLASS).unwrap(),
        cost::Entity::find().count(&db).await.unwrap(),
    );
    assert_eq!(
        (history().await.len(), history().await.last()),
        (limit, Some(&sample(3.0)))
    );
    assert_eq!(
        rows,
        cost::MAX_ROWS_OF_CLASS + 1,
        "older rows are deleted, those of other classes stay"
    );
}

#[tokio::test]
async fn rows_of_classes_that_are_no_longer_used_are_deleted() {
    let (db, _directory) = database("cost_classes").await;
    let cost = || Cost {
        cpu_s: 1.0,
        wall_s: 1.0,
        bytes: 1.0,
    };
    let sample = CostSample {
        predicted: cost(),
        actual: cost(),
    };
    for class in ["rare", "common"] {
        record(&db, class, &sample).await;
    }
    // The next row has id 3, which puts the first of the two beyond the limit.
    let long_ago = format!("UPDATE costs SET id = id - {}", cost::MAX_ROWS - 2);
    db.execute_unprepared(&long_ago).await.unwrap();
    record(&db, "common", &sample).await;
    let of_class = async |class| cost::history(&db, class).await.unwrap().len();
    assert_eq!((of_class("rare").await, of_class("common").await), (0, 2));
}
