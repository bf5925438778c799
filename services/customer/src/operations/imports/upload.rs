//! Taking a file in: pieces are sealed and stored as they come, and only the front of the file is looked at.

use std::sync::Arc;

use revisit_bootstrap::{
    Principal, Tx, audit,
    idempotency::{Once, Repeatable},
};
use revisit_core::{Failure, Timestamp, id::JobId};
use revisit_permission::{Action, Scope};
use tokio::sync::mpsc;

use crate::{
    App,
    domain::{
        Error,
        field::Field,
        import::{self, COLUMNS_MAX, Target},
        sheet::{self, Encoding, FILE_MAX, SAMPLE, Splitter, WORKBOOK_MAX},
    },
    store::{
        self,
        imports::{Job, State},
    },
};

/// Bytes of a stored piece.
pub const CHUNK: usize = 256 << 10;
/// Pieces of a MiB.
const PIECES_OF_MEBIBYTE: u64 = (1 << 20) / CHUNK as u64;
/// Pieces of an unpacked workbook that wait to be stored.
const PIECES_MAX: usize = 4;
/// Uploads of one subject that wait to be started.
const WAITING_MAX: usize = 20;
/// Bytes by which an XLSX file is known: it is a ZIP archive.
const ZIP: &[u8] = b"PK\x03\x04";

/// A file on its way in.
pub struct Upload<'a> {
    app: &'a App,
    who: &'a Principal,
    scope: Scope,
    id: JobId,
    file_name: String,
    /// Bytes that are not stored yet; of a workbook, all of it.
    pending: Vec<u8>,
    received: u64,
    stored: i64,
    is_workbook: Option<bool>,
    front: Option<Front>,
    splitter: Splitter,
    records: i64,
}

/// What the front of a file says.
struct Front {
    encoding: Encoding,
    delimiter: u8,
    headers: Vec<String>,
    first_row: u64,
}

impl<'a> Upload<'a> {
    /// Begins, unless too many uploads of the caller's wait to be started: each keeps its file until then.
    pub async fn begin(app: &'a App, who: &'a Principal, file_name: String, xlsx: Option<bool>) -> Result<Self, Error> {
        let scope = who.scope(Action::CustomerImport)?;
        let read = app
            .store
            .database
            .read(&scope, async |tx| store::imports::files::waiting(tx, &scope, who.tenant(), who.subject()).await);
        if read.await? >= WAITING_MAX as u64 {
            return Err(Error::TooMany { what: "uploads", max: WAITING_MAX });
        }
        Ok(Self {
            app,
            who,
            scope,
            id: app.ids.next(app.clock.wall()),
            file_name,
            pending: Vec::new(),
            received: 0,
            stored: 0,
            is_workbook: xlsx,
            front: None,
            splitter: Splitter::new(b',', 0),
            records: 0,
        })
    }

    /// Takes the next bytes. What was stored of a file that is refused is forgotten at once.
    pub async fn push(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let taken = self.take(bytes).await;
        if taken.is_err() {
            self.discard().await;
        }
        taken
    }

    async fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.received += bytes.len() as u64;
        if self.received > FILE_MAX {
            return Err(Error::FileUnreadable("has more than 512 MiB"));
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() < ZIP.len() {
            return Ok(());
        }
        let workbook = *self.is_workbook.get_or_insert_with(|| self.pending.starts_with(ZIP));
        if workbook {
            return if self.pending.len() > WORKBOOK_MAX {
                Err(Error::FileUnreadable("is a workbook of more than 32 MiB"))
            } else {
                Ok(())
            };
        }
        if self.front.is_none() && self.pending.len() < SAMPLE {
            return Ok(());
        }
        self.store_full(false).await
    }

    /// Stores whole pieces, at the end of the file the last one too.
    async fn store_full(&mut self, end: bool) -> Result<(), Error> {
        if self.front.is_none() {
            self.look_at_front(end)?;
        }
        while self.pending.len() >= CHUNK || (end && !self.pending.is_empty()) {
            let length = self.pending.len().min(CHUNK);
            let piece: Vec<u8> = self.pending.drain(..length).collect();
            self.count(&piece, false);
            let (app, scope, key) = (self.app, &self.scope, (self.who.tenant(), self.id));
            let at = (self.stored, piece.as_slice());
            let (store, max) = (&app.store, app.config.upload_mebibytes_max);
            let write = store.database.write(scope, async |tx| {
                if store::imports::files::stored(tx, scope, key.0).await? >= max * PIECES_OF_MEBIBYTE {
                    let max = usize::try_from(max).unwrap_or(usize::MAX);
                    return Err(Error::TooMany { what: "mebibytes of uploads", max });
                }
                store::imports::files::keep_chunk(tx, store, scope, key, at).await
            });
            write.await?;
            self.stored += i64::try_from(length).unwrap_or(i64::MAX);
        }
        Ok(())
    }

    /// Forgets what was stored. Should that fail, the patrol does it.
    async fn discard(&self) {
        let (scope, key) = (&self.scope, (self.who.tenant(), self.id));
        let write = async |tx: &Tx| store::imports::files::drop_upload(tx, scope, key).await;
        if let Err(error) = self.app.store.database.write(scope, write).await {
            tracing::debug!(%error, "an upload that came to nothing is forgotten later");
        }
    }

    /// Turns the workbook into CSV and stores it piece by piece. One workbook is open in a process at a time: its
    /// strings are held in memory.
    async fn unpack(&mut self) -> Result<(), Error> {
        let turn = Arc::clone(&self.app.unpacking).acquire_owned().await.map_err(Failure::internal)?;
        let bytes = std::mem::take(&mut self.pending);
        let (sender, mut pieces) = mpsc::channel(PIECES_MAX);
        let unpacking = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            // Nobody takes pieces any more when storing one has failed.
            sheet::to_csv(&bytes, |piece| sender.blocking_send(piece).map_err(|_| "could not be stored"))
        });
        while let Some(piece) = pieces.recv().await {
            self.pending.extend_from_slice(piece.as_bytes());
            if self.front.is_some() || self.pending.len() >= SAMPLE {
                self.store_full(false).await?;
            }
        }
        unpacking.await.map_err(Failure::internal)?.map_err(Error::FileUnreadable)
    }

    fn count(&mut self, piece: &[u8], end: bool) {
        self.splitter.push(piece);
        while self.splitter.next(end).is_some() {
            self.records += 1;
        }
    }

    fn look_at_front(&mut self, end: bool) -> Result<(), Error> {
        let sample = &self.pending[..self.pending.len().min(SAMPLE)];
        let encoding = Encoding::detect(sample).map_err(Error::FileUnreadable)?;
        let delimiter = sheet::delimiter(sample);
        let mut splitter = Splitter::new(delimiter, 0);
        splitter.push(sample);
        let header = splitter.next(end).ok_or(Error::FileUnreadable("has no header line"))?;
        let headers = header.content.and_then(|bytes| sheet::cells(&bytes, delimiter, encoding));
        let headers = headers.map_err(Error::FileUnreadable)?;
        if headers.len() > COLUMNS_MAX {
            return Err(Error::FileUnreadable("has more than 200 columns"));
        }
        let headers = headers.iter().map(|header| crate::domain::normal::text(header)).collect();
        self.splitter = Splitter::new(delimiter, 0);
        self.front = Some(Front { encoding, delimiter, headers, first_row: header.end });
        Ok(())
    }

    /// The job that the whole file makes, with a suggested mapping.
    fn job(&self, front: Front, fields: &[Field], now: Timestamp) -> Job {
        let suggested = import::suggest(&front.headers, fields);
        Job {
            tenant: self.who.tenant(),
            id: self.id,
            subject: self.who.subject(),
            file_name: self.file_name.clone(),
            is_xlsx: self.is_workbook.unwrap_or(false),
            encoding: front.encoding,
            delimiter: front.delimiter,
            state: State::Ready,
            mapping: suggested.iter().map(|target| target.as_ref().map_or_else(String::new, Target::name)).collect(),
            headers: front.headers,
            // The header is no row.
            row_count: self.records - 1,
            next_row: 0,
            next_position: i64::try_from(front.first_row).unwrap_or(i64::MAX),
            created: 0,
            merged: 0,
            duplicate: 0,
            foreign: 0,
            rejected: 0,
            kept: 0,
            stop_reason: String::new(),
            created_at: now,
            ended_at: None,
        }
    }
}

/// Ends an upload: the job is written with a suggested mapping. A repeat answers the first job and keeps no second file.
pub async fn finish(mut upload: Upload<'_>, repeat: Option<Repeatable>) -> Result<Job, Error> {
    let done = end(&mut upload, repeat).await;
    if !done.as_ref().is_ok_and(|job| job.id == upload.id) {
        upload.discard().await;
    }
    done
}

async fn end(upload: &mut Upload<'_>, repeat: Option<Repeatable>) -> Result<Job, Error> {
    if upload.is_workbook == Some(true) {
        upload.unpack().await?;
    }
    if upload.pending.is_empty() && upload.front.is_none() {
        return Err(Error::FileUnreadable("is empty"));
    }
    upload.store_full(true).await?;
    upload.count(&[], true);
    let front = upload.front.take().ok_or(Error::FileUnreadable("has no header line"))?;
    if upload.records < 2 {
        return Err(Error::FileUnreadable("has no rows"));
    }
    let (app, who, scope) = (upload.app, upload.who, &upload.scope);
    let now = app.clock.wall();
    let write = app.store.database.write(scope, async |tx| {
        let find = async |id| {
            let id = JobId::from_uuid(id);
            store::imports::find(tx, scope, who.tenant(), id).await?.ok_or(Error::NoSuchJob(id))
        };
        let work = async || {
            let fields = store::catalogue::fields(tx, who.tenant()).await?;
            let job = upload.job(front, &fields, now);
            store::imports::insert(tx, scope, &job).await?;
            audit::record(tx, &app.ids, super::entry(scope, job.id)).await?;
            Ok((job.id.uuid(), job))
        };
        Once::new(who, repeat.as_ref()).row(tx, find, work).await
    });
    write.await
}
