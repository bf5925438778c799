//! The customer files: brought in by the public import, then given to the people of each store.

use std::collections::BTreeMap;

use revisit_bootstrap::status::{answer, failure};
use revisit_core::Failure;
use revisit_proto::customer::v1 as pb;

use super::company::{Company, STORES};
use crate::client::Person;

/// What a file is called, what it holds, and what was planted in it.
pub struct File {
    name: &'static str,
    bytes: &'static [u8],
}

/// The three files.
pub const FILES: [File; 3] = [
    File { name: "customers-utf8.csv", bytes: include_bytes!("../../fixture/customers-utf8.csv") },
    File { name: "customers-gb18030.csv", bytes: include_bytes!("../../fixture/customers-gb18030.csv") },
    File { name: "customers.xlsx", bytes: include_bytes!("../../fixture/customers.xlsx") },
];
/// What the generator says that it planted.
const PLANTED: &str = include_str!("../../fixture/planted.json");

/// The column that says which store a customer belongs to, and the custom field that it becomes.
const STORE_COLUMN: &str = "门店";
/// Key of that field.
pub const STORE_FIELD: &str = "store";
/// Bytes of one message of an upload.
const CHUNK: usize = 64 << 10;
/// Rows of a page when everything is read.
const PAGE: i32 = 1_000;

/// What the generator planted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// Rows in all.
    pub rows: i64,
    /// Rows about a customer of an earlier row.
    pub duplicates: i64,
    /// Rows that break a rule.
    pub invalid: i64,
}

impl Planted {
    /// Reads what lies beside the files.
    pub fn read() -> Result<Self, Failure> {
        let facts: serde_json::Value = serde_json::from_str(PLANTED).map_err(Failure::internal)?;
        let count = |key: &str| facts["planted"][key].as_i64().unwrap_or_default();
        Ok(Self {
            rows: facts["rows"].as_i64().unwrap_or_default(),
            duplicates: count("phone") + count("wechat") + count("company"),
            invalid: count("invalid_phone") + count("invalid_name") + count("invalid_date"),
        })
    }
}

/// What came of the files.
#[derive(Default)]
pub struct Imported {
    /// The jobs as they ended.
    pub jobs: Vec<pb::ImportJob>,
    /// A name of each customer that is the same in every run: file and row.
    pub origin: BTreeMap<String, String>,
    /// One change by cleaning, as a preview showed it.
    pub cleaning: Vec<String>,
}

impl Imported {
    /// A sum over the jobs.
    #[must_use]
    pub fn sum(&self, count: impl Fn(&pb::ImportJob) -> i64) -> i64 {
        self.jobs.iter().map(count).sum()
    }
}

/// Declares the field of the store; layer basic, so that it can be filtered by.
pub async fn declare_store(admin: &Person) -> Result<(), Failure> {
    let field = pb::Field {
        key: STORE_FIELD.to_owned(),
        title: STORE_COLUMN.to_owned(),
        r#type: pb::FieldType::Text as i32,
        layer: "basic".to_owned(),
        ..Default::default()
    };
    let request = pb::CreateFieldRequest { field: Some(field), ..Default::default() };
    answer(admin.catalogue().create_field(request).await).map(|_| ())
}

/// Imports the three files, one after the other, as one person.
pub async fn import(importer: &Person) -> Result<Imported, Failure> {
    let mut imported = Imported::default();
    for file in &FILES {
        let job = upload(importer, file).await?;
        let job = map(importer, job).await?;
        let changes = job.preview.iter().flat_map(|row| row.changes.iter());
        imported.cleaning.extend(changes.take(2).cloned());
        let request = pb::StartImportRequest { job_id: job.job_id.clone(), ..Default::default() };
        answer(importer.imports().start_import(request).await)?;
        let job = followed(importer, &job.job_id).await?;
        for row in rows(importer, &job.job_id, "created").await? {
            imported.origin.insert(row.customer_id, format!("{}#{}", file.name, row.row));
        }
        imported.jobs.push(job);
    }
    Ok(imported)
}

async fn upload(importer: &Person, file: &File) -> Result<pb::ImportJob, Failure> {
    use pb::upload_file_request::Part;
    let header = pb::UploadHeader { file_name: file.name.to_owned(), ..Default::default() };
    let data = file.bytes.chunks(CHUNK).map(|chunk| Part::Data(chunk.to_vec()));
    let parts: Vec<_> = std::iter::once(Part::Header(header))
        .chain(data)
        .map(|part| pb::UploadFileRequest { part: Some(part) })
        .collect();
    answer(importer.imports().upload_file(tonic::Request::new(futures::stream::iter(parts))).await)
}

/// Takes the suggested mapping and adds the store, which no suggestion can know.
async fn map(importer: &Person, job: pb::ImportJob) -> Result<pb::ImportJob, Failure> {
    let mapping = job.mapping.into_iter().map(|column| {
        let target = if column.header == STORE_COLUMN { format!("fields.{STORE_FIELD}") } else { column.target };
        pb::ColumnMapping { target, ..column }
    });
    let request = pb::SetMappingRequest {
        job_id: job.job_id,
        mapping: mapping.filter(|column| !column.target.is_empty()).collect(),
        ..Default::default()
    };
    answer(importer.imports().set_mapping(request).await)
}

async fn followed(importer: &Person, job_id: &str) -> Result<pb::ImportJob, Failure> {
    let request = pb::GetImportRequest { job_id: job_id.to_owned() };
    let mut states = answer(importer.imports().watch_import(request).await)?;
    let mut last = None;
    while let Some(job) = states.message().await.map_err(|status| failure(&status))? {
        last = Some(job);
    }
    let job = last.ok_or_else(|| Failure::internal("an import told nothing"))?;
    if job.state == pb::ImportState::Done as i32 {
        return Ok(job);
    }
    Err(Failure::internal(format!("the import of {} stopped: {}", job.file_name, job.stop_reason)))
}

/// All rows of a job with a result.
pub async fn rows(importer: &Person, job_id: &str, result: &str) -> Result<Vec<pb::ImportRow>, Failure> {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListImportRowsRequest {
            job_id: job_id.to_owned(),
            page_size: PAGE,
            page_token,
            result: result.to_owned(),
        };
        let page = answer(importer.imports().list_import_rows(request).await)?;
        rows.extend(page.rows);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(rows);
        }
    }
}

/// All customers that somebody may view and a filter matches.
pub async fn customers(who: &Person, filter: &str) -> Result<Vec<pb::Customer>, Failure> {
    let mut customers = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListCustomersRequest {
            page_size: PAGE,
            page_token,
            filter: filter.to_owned(),
            order_by: "create_time".to_owned(),
            ..Default::default()
        };
        let page = answer(who.customers().list_customers(request).await)?;
        customers.extend(page.customers);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(customers);
        }
    }
}

/// Gives the customers of each store to its people, half each where there are two. Answers the jobs to wait for.
pub async fn give_to_stores(company: &Company, giver: &Person) -> Result<Vec<String>, Failure> {
    let mut jobs = Vec::new();
    for store in STORES {
        let filter = format!("fields.{STORE_FIELD} == \"{store}\"");
        let ids: Vec<String> = customers(giver, &filter).await?.into_iter().map(|row| row.customer_id).collect();
        let reps = Company::reps_of(store);
        for (index, rep) in reps.iter().enumerate() {
            let customer_ids = ids.iter().skip(index).step_by(reps.len()).cloned().collect();
            let request = pb::CreateBulkTransferRequest {
                customer_ids,
                owner_id: company.person(rep).id.to_string(),
                reason: "门店客户分配".to_owned(),
                ..Default::default()
            };
            jobs.push(answer(giver.ownership().create_bulk_transfer(request).await)?.job_id);
        }
    }
    Ok(jobs)
}

/// The jobs of [`give_to_stores`] as they are now: rows moved and refused, and whether all have ended.
pub async fn given(giver: &Person, jobs: &[String]) -> Result<(i64, i64, bool), Failure> {
    let (mut moved, mut refused, mut done) = (0, 0, true);
    for job_id in jobs {
        let request = pb::GetBulkTransferRequest { job_id: job_id.clone() };
        let job = answer(giver.ownership().get_bulk_transfer(request).await)?;
        moved += job.moved_count;
        refused += job.refused_count;
        done &= job.state != pb::JobState::Running as i32;
    }
    Ok((moved, refused, done))
}
