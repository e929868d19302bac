//! The service of imports.

use crate::call::{Call, Environment};
use crate::status::status;
use crate::v1;
use crate::v1::import_service_server::ImportService;
use app::imports;
use domain::manifest::ImportStatus;
use futures::Stream;
use futures::stream;
use prost_types::Timestamp;
use std::pin::Pin;
use tonic::{Request, Response, Status};

/// The service of imports.
pub(crate) struct Imports {
    environment: Environment,
}

impl Imports {
    pub(crate) const fn new(environment: Environment) -> Self {
        Self { environment }
    }
}

fn message(import: imports::Import) -> v1::Import {
    let at = |seconds, nanos: u32| Timestamp {
        seconds,
        nanos: i32::try_from(nanos).unwrap_or_default(),
    };
    let waiting_for_lookup = import.is_waiting_for_lookup();
    let detail = import.error_detail.unwrap_or_default();
    let created_at = import.created_at;
    let finished_at = import.finished_at;
    v1::Import {
        id: import.id,
        status: ImportStatus::from(import.status).to_string(),
        kind: import.kind,
        rows: Some(v1::RowCounts {
            total: import.rows_read,
            pending: import.pending,
            working: import.working,
            created: import.created,
            updated: import.updated,
            duplicate: import.duplicate,
            error: import.error,
        }),
        bytes_read: import.byte,
        bytes: import.bytes,
        error: import.error_code.map(|code| v1::ImportError { code, detail }),
        dry_run: import.is_dry_run,
        file_name: import.file_name,
        sha256: import.sha256,
        created_at: Some(at(created_at.timestamp(), created_at.timestamp_subsec_nanos())),
        lookup: Some(v1::LookupCounts {
            found: import.lookup_found,
            no_data: import.lookup_no_data,
            failed: import.lookup_failed,
        }),
        waiting_for_lookup,
        finished_at: finished_at.map(|time| at(time.timestamp(), time.timestamp_subsec_nanos())),
    }
}

#[tonic::async_trait]
impl ImportService for Imports {
    type WatchImportStream = Pin<Box<dyn Stream<Item = Result<v1::Import, Status>> + Send>>;

    async fn get_import(&self, request: Request<v1::GetImportRequest>) -> Result<Response<v1::Import>, Status> {
        let (call, request) = Call::of(request);
        let found = async {
            let account = call.account(&self.environment).await?;
            imports::show(&self.environment.app, account, request.id).await
        };
        Ok(Response::new(message(found.await.map_err(status)?)))
    }

    async fn watch_import(
        &self,
        request: Request<v1::WatchImportRequest>,
    ) -> Result<Response<Self::WatchImportStream>, Status> {
        let (call, request) = Call::of(request);
        let watch = async {
            let account = call.account(&self.environment).await?;
            imports::watch(&self.environment.app, account, request.id).await
        };
        let watch = watch.await.map_err(status)?;
        let messages = stream::try_unfold(watch, |mut watch| async move {
            let next = watch.next().await.map_err(status)?;
            Ok(next.map(|import| (message(import), watch)))
        });
        Ok(Response::new(Box::pin(messages)))
    }
}
