//! Files in both directions.

use revisit_bootstrap::status::{answer, failure};
use revisit_proto::customer::v1 as pb;

use super::{
    book::Book,
    company::{Company, Viewer},
};

/// Chunks of a file and states of a job at the most.
const MESSAGES_MAX: usize = 1_000;
/// Columns that only some may write, a row that is nobody's yet, one of somebody else's external id.
const FILE: &str = "name,phone,city,external_id\nAn,13800009001,Suzhou,new-1\nBo,12,Suzhou,new-2\n\
                    basic 1,,Suzhou,basic-1\n";
const SECRET_COLUMNS: &str = "name,fields.budget,fields.talk\nbasic 2,5,hello\n";

/// What a viewer may take out.
pub async fn taken_out(book: &mut Book, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    for filter in super::reads::FILTERS {
        for clear_values in [false, true] {
            let request =
                pb::ExportCustomersRequest { filter: filter.to_owned(), clear_values, reason: "to compare".to_owned() };
            let file = who.exports().export_customers(request).await;
            let asked = format!("{filter:?} {clear_values}");
            let text = |chunk: pb::FileChunk| String::from_utf8_lossy(&chunk.data).into_owned();
            book.listen("customer.v1.Export/ExportCustomers", &asked, (MESSAGES_MAX, file), text).await;
        }
    }
}

/// What the importer is answered about a file.
pub async fn brought_in(book: &mut Book, company: &Company) {
    book.opened_for("importer");
    for (name, file) in [("open", FILE), ("secret", SECRET_COLUMNS)] {
        import(book, company, name, file).await;
    }
}

async fn import(book: &mut Book, company: &Company, name: &str, file: &str) {
    let who = company.importer.fresh().await.expect("a session");
    let mut imports = who.imports();
    let parts = [
        pb::upload_file_request::Part::Header(pb::UploadHeader {
            file_name: format!("{name}.csv"),
            ..Default::default()
        }),
        pb::upload_file_request::Part::Data(file.as_bytes().to_vec()),
    ];
    let parts = parts.map(|part| pb::UploadFileRequest { part: Some(part) });
    let upload = tonic::Request::new(tokio_stream::iter(parts));
    let Some(job) = book.take("customer.v1.Import/UploadFile", name, imports.upload_file(upload).await) else { return };
    let job_id = job.job_id.clone();
    let request = pb::SetMappingRequest { job_id: job_id.clone(), mapping: job.mapping, ..Default::default() };
    book.take("customer.v1.Import/SetMapping", name, imports.set_mapping(request).await);
    let request = pb::StartImportRequest { job_id: job_id.clone(), ..Default::default() };
    answer(imports.start_import(request).await)
        .map_or_else(|refused| book.refused("customer.v1.Import/StartImport", name, &refused), |_| ());
    book.note("customer.v1.Import/StartImport", name, "asked");
    let watch = pb::GetImportRequest { job_id: job_id.clone() };
    let mut last = None;
    let mut states = answer(imports.watch_import(watch.clone()).await).expect("a stream");
    while let Some(state) = states.message().await.map_err(|status| failure(&status)).expect("it goes on") {
        last = Some(state);
    }
    book.note("customer.v1.Import/WatchImport", name, &format!("{last:#?}"));
    company.world.settle().await;
    book.take("customer.v1.Import/GetImport", name, imports.get_import(watch.clone()).await);
    let rows = pb::ListImportRowsRequest { job_id: job_id.clone(), ..Default::default() };
    book.take("customer.v1.Import/ListImportRows", name, imports.list_import_rows(rows).await);
    let rejected = imports.download_rejected_rows(watch).await;
    let text = |chunk: pb::FileChunk| String::from_utf8_lossy(&chunk.data).into_owned();
    book.listen("customer.v1.Import/DownloadRejectedRows", name, (MESSAGES_MAX, rejected), text).await;
    let request = pb::RevertImportRequest { job_id: job_id.clone(), ..Default::default() };
    book.take("customer.v1.Import/RevertImport", name, imports.revert_import(request).await);
    company.world.settle().await;
    let job = pb::GetImportRequest { job_id };
    book.take("customer.v1.Import/GetImport", &format!("{name} reverted"), imports.get_import(job).await);
}
