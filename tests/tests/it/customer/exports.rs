//! What leaves as a file: only what may leave at that moment, never too much of it, and never without a trace.

use revisit_bootstrap::status::{answer, failure};
use revisit_core::{Failure, Kind};
use revisit_permission::{
    Action, Change, Effect, Exceptions, Extent, Guard, Layer, Level, Levels, RowCondition, Template, Whom,
};
use revisit_proto::customer::v1 as pb;
use revisit_tests::rights::guard;

use sea_orm::ConnectionTrait;
use tonic::Streaming;

use super::{
    person,
    support::{Office, Seat, everywhere, in_each_office, in_each_office_with},
};

/// A guard on VIPs that leaves their owner out.
fn over_vips(action: Action, effect: Effect) -> Guard {
    Guard {
        except: Exceptions { owner: true, ..Exceptions::default() },
        condition: RowCondition { vip: true, ..RowCondition::default() },
        ..guard(Whom::Everyone, &[action], effect)
    }
}

/// Contact values are masked at the most.
fn masked() -> Effect {
    Effect::Cap(Levels::WRITE.with(Layer::Sensitive, Level::Masked))
}

fn wish(filter: &str) -> pb::ExportCustomersRequest {
    pb::ExportCustomersRequest { filter: filter.to_owned(), clear_values: true, reason: "对账".to_owned() }
}

/// The lines of a file, without its header.
async fn export(who: &Seat, filter: &str) -> Result<Vec<String>, Failure> {
    let mut chunks = answer(who.exports().export_customers(wish(filter)).await)?;
    let mut file = Vec::new();
    while let Some(chunk) = chunks.message().await.map_err(|status| failure(&status))? {
        file.extend(chunk.data);
    }
    let text = String::from_utf8(file).expect("UTF-8");
    Ok(text.lines().skip(1).map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_the_callers_rows_and_levels_and_more_rows_need_an_approval() {
    in_each_office_with("[customer]\nexport_approval_rows = 3\nexport_rows_max = 4\n", async |office: &Office| {
        let (rep, manager) = (office.seat("rep"), office.seat("manager"));
        for number in 1..=2 {
            rep.create(person("王芳", &format!("1380000100{number}"))).await.expect("made");
        }
        let vip = pb::Customer { vip: true, ..person("李强", "13800001003") };
        rep.create(vip).await.expect("made");
        office.seat("outsider").create(person("别家", "13900000001")).await.expect("made");
        office.commit(vec![Change::Guard(over_vips(Action::CustomerExport, masked()))]).await;
        assert_eq!(export(&rep, "").await.expect_err("not a seller's call").kind, Kind::Denied);
        let lines = export(&manager, "").await.expect("a file");
        assert_eq!(lines.len(), 3, "the branch's row is not hers: {lines:?}");
        assert!(lines.iter().all(|line| line.contains(&manager.id.to_string())), "each row says who took it");
        let clear = lines.iter().filter(|line| line.contains("+8613800001")).count();
        assert_eq!(clear, 2, "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("李强") && line.contains("138****1003")), "{lines:?}");
        let entries = office.audited("customer.export").await;
        let whole = entries.iter().find(|entry| entry.fields.is_empty()).expect("one for the export");
        assert_eq!((whole.subject_id.clone(), whole.count, whole.why.as_str()), (manager.id.to_string(), 3, "对账"));
        let values = entries.iter().find(|entry| !entry.fields.is_empty()).expect("one for the clear values");
        assert_eq!((values.resource_ids.len(), values.fields.clone()), (2, vec!["contact_points".to_owned()]));
        rep.create(person("王芳", "13800001004")).await.expect("made");
        let approval = export(&manager, "").await.expect_err("four rows");
        assert_eq!((approval.kind, approval.reason), (Kind::Precondition, "APPROVAL_REQUIRED"));
        assert_eq!(export(&manager, "vip").await.expect("one row").len(), 1);
        rep.create(person("王芳", "13800001005")).await.expect("made");
        let cap = export(&manager, "").await.expect_err("five rows");
        assert_eq!((cap.kind, cap.reason), (Kind::Exhausted, "EXPORT_CAP"));
        // A filter finds nothing in what she does not read: such rows are counted one by one, and only those that leave.
        let veiled = Effect::Cap(Levels::WRITE.with(Layer::Basic, Level::Masked));
        office.commit(vec![Change::Guard(over_vips(Action::CustomerView, veiled))]).await;
        let cap = export(&manager, "").await.expect_err("five rows");
        assert_eq!((cap.kind, cap.reason), (Kind::Exhausted, "EXPORT_CAP"));
        let approval = export(&manager, "vip || !vip").await.expect_err("four rows");
        assert_eq!((approval.kind, approval.reason), (Kind::Precondition, "APPROVAL_REQUIRED"));
        let after = office.audited("customer.export").await.iter().filter(|entry| entry.fields.is_empty()).count();
        assert_eq!(after, 2, "what was refused exported nothing");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_exported_or_counted_that_a_guard_on_viewing_hides() {
    in_each_office(async |office: &Office| {
        let (rep, manager) = (office.seat("rep"), office.seat("manager"));
        rep.create(person("王芳", "13800001001")).await.expect("made");
        let vip = pb::Customer { vip: true, ..person("李强", "13800001003") };
        rep.create(vip).await.expect("made");
        let mut guard = over_vips(Action::CustomerView, masked());
        office.commit(vec![Change::Guard(guard.clone())]).await;
        let lines = export(&manager, "").await.expect("a file");
        assert!(lines.iter().any(|line| line.contains("李强") && line.contains("138****1003")), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("+8613800001001")), "{lines:?}");
        guard.effect = Effect::Deny;
        office.commit(vec![Change::Guard(guard)]).await;
        let lines = export(&manager, "").await.expect("a file");
        assert!(lines.len() == 1 && lines[0].contains("王芳"), "{lines:?}");
        let told = office.audited("customer.export").await;
        // Entries lie in different shards and have no order among themselves.
        let mut whole: Vec<i64> =
            told.iter().filter(|entry| entry.fields.is_empty()).map(|entry| entry.count).collect();
        whole.sort_unstable();
        assert_eq!(whole, [1, 2], "what is hidden is not counted");
    })
    .await;
}

/// Rights over one row each: SQLite takes no condition that is a thousand deep.
const SHORT: usize = 1_100;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_seen_by_many_short_rights_is_exported() {
    in_each_office(async |office: &Office| {
        let (rep, director) = (office.seat("rep"), office.seat("director"));
        let seen = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        rep.create(person("李强", "13800001003")).await.expect("made");
        let made_up = (1..SHORT).map(|_| office.new_id::<revisit_core::id::kind::Event>().uuid());
        let rows = made_up.chain([seen.parse().expect("an id")]);
        let right =
            |id| Template { extent: Extent::Ids(vec![id].into()), ..everywhere(&[Action::CustomerView], Levels::READ) };
        office.strip("director").await;
        office.grant("director", rows.map(right).collect()).await;
        office.grant("director", vec![everywhere(&[Action::CustomerExport], Levels::READ)]).await;
        let lines = export(&director, "").await.expect("a file");
        assert!(lines.len() == 1 && lines[0].contains("王芳"), "{lines:?}");
    })
    .await;
}

/// Rows that one decision lets out.
const CHUNK: usize = 500;
/// Rows of an export that is broken off: several times as many.
const ROWS: usize = 1_600;

/// An export of which somebody has read the very first bytes.
struct Begun {
    chunks: Streaming<pb::FileChunk>,
    file: Vec<u8>,
}

impl Begun {
    async fn by(who: &Seat) -> Self {
        let mut chunks = answer(who.exports().export_customers(wish("")).await).expect("a file");
        let file = chunks.message().await.expect("it begins").expect("a piece").data;
        assert!(!file.is_empty());
        Self { chunks, file }
    }

    /// Reads to its end; answers the rows that have left, whole or in part, and why there are no more.
    async fn rest(mut self) -> (usize, Option<Failure>) {
        let end = loop {
            match self.chunks.message().await {
                Ok(Some(piece)) => self.file.extend(piece.data),
                Ok(None) => break None,
                Err(status) => break Some(failure(&status)),
            }
        };
        let lines = self.file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        (lines - 1, end)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_stops_at_the_chunk_after_the_right_to_it_was_taken_or_could_not_be_made_sure_of() {
    in_each_office(async |office: &Office| {
        let manager = office.seat("manager");
        let rows: String = (0..ROWS).map(|number| format!("客户{number},{}\n", "远".repeat(90))).collect();
        let done = manager.import(office, format!("姓名,来源\n{rows}").as_bytes()).await;
        assert_eq!(done.created_count, ROWS as i64, "{done:?}");
        let (whole, end) = Begun::by(&manager).await.rest().await;
        assert!(whole == ROWS && end.is_none(), "{whole} rows, {end:?}");
        // What was decided before that moment is on its way, and what the next decision has let out meanwhile.
        let most = 2 * CHUNK;
        let begun = Begun::by(&manager).await;
        office.loses_identity().await;
        let (left, end) = begun.rest().await;
        let end = end.expect("nobody knows whether it may go on");
        assert!(left <= most && (end.kind, end.reason) == (Kind::Unavailable, "LEASE_EXPIRED"), "{left} rows, {end:?}");
        office.finds_identity().await;
        let begun = Begun::by(&manager).await;
        let held = office.strip("manager").await;
        let (left, end) = begun.rest().await;
        let end = end.expect("it is no longer hers to take out");
        assert!(left <= most && (end.kind, end.reason) == (Kind::Denied, "PERMISSION_DENIED"), "{left} rows, {end:?}");
        office.commit(held).await;
        let begun = Begun::by(&manager).await;
        office.leaves("manager").await;
        let (left, end) = begun.rest().await;
        let end = end.expect("she has left");
        let out = matches!(end.kind, Kind::Denied | Kind::Unauthenticated);
        assert!(left <= most && out, "{left} rows, {end:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_stops_within_its_chunk_when_a_guard_hides_what_is_in_it() {
    in_each_office(async |office: &Office| {
        let manager = office.seat("manager");
        // More bytes than any buffer on the way takes.
        let long = "远".repeat(100);
        let rows: String = (0..CHUNK).map(|number| format!("客户{number},{long},{long},{long}\n")).collect();
        let done = manager.import(office, format!("姓名,来源,公司,城市\n{rows}").as_bytes()).await;
        assert_eq!(done.created_count, CHUNK as i64, "{done:?}");
        let begun = Begun::by(&manager).await;
        let hidden = guard(Whom::Everyone, &[Action::CustomerView], Effect::Deny);
        office.commit(vec![Change::Guard(hidden)]).await;
        let (left, end) = begun.rest().await;
        assert!(left < CHUNK && end.is_some(), "{left} rows of the chunk have left, {end:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_in_clear_or_as_a_file_when_it_cannot_be_written_who_took_it() {
    in_each_office(async |office: &Office| {
        let (rep, manager) = (office.seat("rep"), office.seat("manager"));
        let customer_id = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let change = async |statement: &str| {
            office.database.writer.execute_unprepared(statement).await.expect("it is changed");
        };
        change("ALTER TABLE outbox RENAME TO elsewhere").await;
        let masked = pb::GetCustomerRequest { customer_id: customer_id.clone(), ..Default::default() };
        answer(rep.customers().get_customer(masked).await).expect("what is masked is no disclosure");
        assert_eq!(rep.ask(&customer_id).await.expect_err("a clear number").kind, Kind::Internal);
        assert_eq!(export(&manager, "").await.expect_err("a file").kind, Kind::Internal);
        change("ALTER TABLE elsewhere RENAME TO outbox").await;
        assert_eq!(rep.ask(&customer_id).await.expect("his").contact_points[0].value, "13800001001");
        assert_eq!(export(&manager, "").await.expect("a file").len(), 1);
    })
    .await;
}
