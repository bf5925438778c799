//! `revisit.customer.v1.Import`.

use std::{sync::Arc, time::Duration};

use futures::{Stream, TryStreamExt, stream};
use revisit_bootstrap::{
    Principal, Reply, Streamed, authenticated,
    idempotency::{Repeatable, Rest},
    in_pieces, reply, reply_stream, unreadable, wire,
};
use revisit_core::{Failure, Input, id::JobId, page::Page};
use revisit_permission::{Clarity, Levels, Permit, Veiled};
use revisit_proto::customer::v1::{self as pb, import_server::Import, upload_file_request::Part};
use tonic::{Request, Streaming};

use crate::{
    App,
    domain::{Error, import::COLUMNS_MAX, sheet},
    operations::imports::{self, DryRun, Listed, Look, Previewed, Upload},
    store::imports::{Job, Row, RowResult, State},
};

/// Rows that are read together for a file: each may be as long as a record may be.
const FILE_ROWS: usize = 20;
/// How often a followed job is looked at.
const WATCH: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub struct Served(pub Arc<App>);

#[tonic::async_trait]
impl Import for Served {
    type WatchImportStream = Streamed<pb::ImportJob>;
    type DownloadRejectedRowsStream = Streamed<pb::FileChunk>;

    async fn upload_file(&self, request: Request<Streaming<pb::UploadFileRequest>>) -> Reply<pb::ImportJob> {
        let (who, parts) = authenticated(request)?;
        reply(
            async {
                let job = upload(&self.0, &who, parts).await?;
                self.shown_with_preview(&who, job).await
            }
            .await,
        )
    }

    async fn set_mapping(&self, request: Request<pb::SetMappingRequest>) -> Reply<pb::ImportJob> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "SetMapping", &message);
                let id = input.id("job_id", &message.job_id);
                input.require(!message.mapping.is_empty(), "mapping", "is required");
                input.require(message.mapping.len() <= COLUMNS_MAX, "mapping", "must have at most 200 entries");
                for (index, column) in message.mapping.iter().enumerate() {
                    input.require(column.column >= 0, &format!("mapping[{index}].column"), "must not be negative");
                }
                input.finish()?;
                let mapping = message
                    .mapping
                    .into_iter()
                    .map(|entry| (usize::try_from(entry.column).unwrap_or(usize::MAX), entry.target));
                let job = imports::set_mapping(&self.0, &who, (id, mapping.collect()), repeat).await?;
                self.shown_with_preview(&who, job).await
            }
            .await,
        )
    }

    async fn start_import(&self, request: Request<pb::StartImportRequest>) -> Reply<pb::ImportJob> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "StartImport", &message);
                let id = input.id("job_id", &message.job_id);
                input.finish()?;
                imports::start(&self.0, &who, id, repeat).await.map(|job| show_job(&job))
            }
            .await,
        )
    }

    async fn get_import(&self, request: Request<pb::GetImportRequest>) -> Reply<pb::ImportJob> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let job = imports::get(&self.0, &who, job_id(&message.job_id)?).await?;
                if job.state == State::Ready { self.shown_with_preview(&who, job).await } else { Ok(show_job(&job)) }
            }
            .await,
        )
    }

    async fn watch_import(&self, request: Request<pb::GetImportRequest>) -> Reply<Self::WatchImportStream> {
        let (who, message) = authenticated(request)?;
        let app = Arc::clone(&self.0);
        reply_stream(
            async {
                let id = job_id(&message.job_id)?;
                let first = imports::get(&app, &who, id).await?;
                Ok::<_, Error>(watch(app, who, first))
            }
            .await,
        )
    }

    async fn list_import_rows(&self, request: Request<pb::ListImportRowsRequest>) -> Reply<pb::ListImportRowsResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id("job_id", &message.job_id);
                let result = RowResult::parse(&message.result);
                let known = result.is_some() || message.result.is_empty();
                input.require(known, "result", "must be created, merged, duplicate or rejected");
                let shape = [message.job_id.as_str(), message.result.as_str()];
                let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
                let after = page.after.as_deref().map(|bytes| bytes.try_into().map(i64::from_be_bytes));
                input.require(!matches!(after, Some(Err(_))), "page_token", "was not made by this list");
                input.finish()?;
                let after = after.and_then(Result::ok).unwrap_or(0);
                let wanted = (after, page.size as usize, result, false);
                let Listed { rows, more, .. } = imports::rows(&self.0, &who, id, wanted).await?;
                let next = rows.last().filter(|_| more).map(|row| page.token(&row.number.to_be_bytes()));
                Ok::<_, Error>(pb::ListImportRowsResponse {
                    rows: rows.into_iter().map(show_row).collect(),
                    next_page_token: next.unwrap_or_default(),
                })
            }
            .await,
        )
    }

    async fn download_rejected_rows(
        &self,
        request: Request<pb::GetImportRequest>,
    ) -> Reply<Self::DownloadRejectedRowsStream> {
        let (who, message) = authenticated(request)?;
        let app = Arc::clone(&self.0);
        reply_stream(
            async {
                let id = job_id(&message.job_id)?;
                let job = imports::get(&app, &who, id).await?;
                let clear = imports::disclose_rejected(&app, &who, &job).await?;
                Ok::<_, Error>(messages(rejected(app, who, id, clear)))
            }
            .await,
        )
    }

    async fn revert_import(&self, request: Request<pb::RevertImportRequest>) -> Reply<pb::ImportJob> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "RevertImport", &message);
                let id = input.id("job_id", &message.job_id);
                input.finish()?;
                imports::revert(&self.0, &who, id, repeat).await.map(|job| show_job(&job))
            }
            .await,
        )
    }
}

impl Served {
    async fn shown_with_preview(&self, who: &Principal, job: Job) -> Result<pb::ImportJob, Error> {
        let DryRun { rows, tried, rejected, levels } = imports::dry_run(&self.0, who, &job).await?;
        let shown = |Previewed { row, changes }| {
            let changes = changes.iter().filter_map(|change| whole(&levels, change)).collect();
            pb::ImportRow { changes, ..show_row(row) }
        };
        Ok(pb::ImportJob {
            preview: rows.into_iter().map(shown).collect(),
            dry_run_row_count: tried,
            dry_run_rejected_count: rejected,
            ..show_job(&job)
        })
    }
}

fn job_id(text: &str) -> Result<JobId, Failure> {
    let mut input = Input::default();
    let id = input.id("job_id", text);
    input.finish()?;
    Ok(id)
}

/// Takes the parts of a file: first its header, then its bytes.
async fn upload(app: &App, who: &Principal, mut parts: Streaming<pb::UploadFileRequest>) -> Result<Job, Error> {
    // Before anything is awaited: who may not import holds no place by sending nothing.
    imports::may_import(who)?;
    let first = parts.message().await.map_err(|status| unreadable(&status))?;
    let Some(pb::UploadFileRequest { part: Some(Part::Header(header)) }) = first else {
        return Err(Error::invalid("header", "must be the first message"));
    };
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &header.request_id, "UploadFile", &header);
    let file_name = input.text("header.file_name", &header.file_name, 1..=200);
    let xlsx = match pb::FileFormat::try_from(header.format) {
        Ok(pb::FileFormat::Unspecified) => None,
        Ok(pb::FileFormat::Csv) => Some(false),
        Ok(pb::FileFormat::Xlsx) => Some(true),
        Err(_) => {
            input.refuse("header.format", "is not a known value");
            None
        }
    };
    input.finish()?;
    let mut upload = Upload::begin(app, who, file_name, xlsx).await?;
    let mut rest = Rest::default();
    while let Some(message) = parts.message().await.map_err(|status| unreadable(&status))? {
        match message.part {
            Some(Part::Data(bytes)) => {
                rest.push(&bytes);
                upload.push(&bytes).await?;
            }
            Some(Part::Header(_)) => return Err(Error::invalid("header", "must be sent once")),
            None => return Err(Error::invalid("data", "is required")),
        }
    }
    imports::finish(upload, repeat.map(|repeat| repeat.followed_by(&rest))).await
}

/// The job whenever it has moved, until it rests.
fn watch(
    app: Arc<App>,
    who: Principal,
    first: Job,
) -> impl Stream<Item = Result<pb::ImportJob, Error>> + Send + 'static {
    let rests = |job: &Job| !matches!(job.state, State::Running | State::Reverting);
    stream::try_unfold(Some((app, who, first, true)), move |state| async move {
        let Some((app, who, mut job, first)) = state else { return Ok(None) };
        let seen = (job.state, job.next_row);
        while !first && (job.state, job.next_row) == seen && !rests(&job) {
            tokio::time::sleep(WATCH).await;
            job = imports::get(&app, &who, job.id).await?;
        }
        let shown = show_job(&job);
        let next = (!rests(&job)).then_some((app, who, job, false));
        Ok(Some((shown, next)))
    })
}

/// The rejected rows as a file; without their cells for who may not read them.
fn rejected(
    app: Arc<App>,
    who: Principal,
    id: JobId,
    clear: bool,
) -> impl Stream<Item = Result<(Look, String), Error>> + Send + 'static {
    stream::try_unfold(Some((app, who, 0_i64, true)), move |state| async move {
        let Some((app, who, after, first)) = state else { return Ok(None) };
        let wanted = (after, FILE_ROWS, Some(RowResult::Rejected), clear);
        let listed = imports::rows(&app, &who, id, wanted).await?;
        let Listed { job, rows, .. } = &listed;
        let mut text = String::new();
        if first {
            text.push('\u{FEFF}');
            text.push_str(&sheet::line(job.headers.iter().map(String::as_str).chain(["reason"])));
        }
        for row in rows {
            let (cells, levels) = listed.cells(row);
            let mut cells: Vec<_> = cells.iter().map(|cell| whole(&levels, cell).unwrap_or_default()).collect();
            cells.resize(cells.len().max(job.headers.len()), String::new());
            let reasons: Vec<String> = row.violations.iter().map(|(field, rule)| format!("{field}: {rule}")).collect();
            cells.push(reasons.join("; "));
            text.push_str(&sheet::line(cells));
        }
        let after = rows.last().map_or(after, |row| row.number);
        let next = listed.more.then_some((app, who, after, false));
        Ok(Some(((listed.look, text), next)))
    })
}

/// A file in messages that every client takes.
pub fn messages<P: Permit + Send + Sync + 'static>(
    chunks: impl Stream<Item = Result<(P, String), Error>> + Send + 'static,
) -> impl Stream<Item = Result<pb::FileChunk, Error>> + Send + 'static {
    in_pieces(chunks.map_ok(|(permit, text)| (permit, text.into_bytes()))).map_ok(|data| pb::FileChunk { data })
}

fn show_job(job: &Job) -> pb::ImportJob {
    let mapping = job.headers.iter().enumerate().map(|(index, header)| pb::ColumnMapping {
        column: i32::try_from(index).unwrap_or(i32::MAX),
        header: header.clone(),
        target: job.mapping.get(index).cloned().unwrap_or_default(),
    });
    pb::ImportJob {
        job_id: job.id.to_string(),
        file_name: job.file_name.clone(),
        format: if job.is_xlsx { pb::FileFormat::Xlsx } else { pb::FileFormat::Csv }.into(),
        encoding: if job.is_xlsx { String::new() } else { job.encoding.name().to_owned() },
        state: match job.state {
            State::Ready => pb::ImportState::Ready,
            State::Running => pb::ImportState::Running,
            State::Done => pb::ImportState::Done,
            State::Stopped => pb::ImportState::Stopped,
            State::Reverting => pb::ImportState::Reverting,
            State::Reverted => pb::ImportState::Reverted,
        }
        .into(),
        mapping: mapping.collect(),
        preview: Vec::new(),
        dry_run_row_count: 0,
        dry_run_rejected_count: 0,
        row_count: job.row_count,
        created_count: job.created,
        merged_count: job.merged,
        duplicate_count: job.duplicate,
        rejected_count: job.rejected,
        stop_reason: job.stop_reason.clone(),
        create_time: Some(wire::time(job.created_at)),
        end_time: wire::time_optional(job.ended_at),
        kept_count: job.kept,
    }
}

/// What stands in a file as its reader gets it: all or nothing. Nobody knows which mask would suit it.
fn whole(levels: &Levels, text: &Veiled<String>) -> Option<String> {
    levels.show(text, Clarity::Clear).clear().cloned()
}

fn show_row(row: Row) -> pb::ImportRow {
    let violations = row.violations.into_iter().map(|(field, rule)| pb::RowViolation { field, rule });
    pb::ImportRow {
        row: row.number,
        result: row.result.name().to_owned(),
        customer_id: row.customer.map(|customer| customer.to_string()).unwrap_or_default(),
        violations: violations.collect(),
        changes: Vec::new(),
        duplicate_of_row: row.duplicate_of.unwrap_or_default(),
    }
}
