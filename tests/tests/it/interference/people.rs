//! Users of each viewer's department, whose addresses differ between the two companies, and the calls of identity that say
//! anything about them.

use std::fmt::Debug;

use revisit_bootstrap::status::answer;
use revisit_proto::identity::v1 as pb;
use revisit_tests::world::mask;
use tonic::{Response, Status};

use super::{
    book::Book,
    company::{Company, Viewer, is_masked},
    making::place,
};

/// Users of each department.
const COLLEAGUES: usize = 2;
const FEW: i32 = 1;
const ALL: i32 = 1_000;
const ACTIONS: [&str; 3] = ["user.view", "user.manage", "customer.view"];

/// A mail address that a user of one company has; masked like the one of the other.
fn mail(viewer: &str, number: usize, said: &str) -> String {
    format!("a{}{said}@example.com", place(viewer, number))
}

fn phone(viewer: &str, number: usize, said: &str) -> String {
    format!("139{said}{:04}", place(viewer, number))
}

impl Company {
    /// Users with other addresses in either company; the second is reached in another way, unless that would be seen.
    pub async fn colleagues(&mut self, viewer: &mut Viewer) {
        let (name, side) = (viewer.name, self.side);
        let admin = self.world.admin.fresh().await.expect("a session").clone();
        let request = pb::GetUserRequest { user_id: self.keeper.id.to_string(), read_mask: None };
        let position_ids = answer(admin.directory().get_user(request).await).expect("a user").position_ids;
        for number in 1..=COLLEAGUES {
            self.step().await;
            let email = mail(name, number, side.or("one", "other"));
            let phone = phone(name, number, side.or("1111", "2222"));
            let (email, phone) = match number == COLLEAGUES && !is_masked(name) {
                true => side.or((email, String::new()), (String::new(), phone)),
                false => (email, phone),
            };
            let request = pb::CreateUserRequest {
                username: format!("{name}.{number}"),
                display_name: format!("colleague {number} of {name}"),
                email,
                phone,
                department_id: viewer.department.clone(),
                position_ids: position_ids.clone(),
                ..Default::default()
            };
            let made = answer(admin.directory().create_user(request).await).expect("a user");
            let id = made.user.expect("the user").user_id;
            self.call(&id, &format!("colleague {number} of {name}"));
            viewer.colleagues.push(id);
        }
        self.world.settle().await;
    }
}

/// A user without what names a revision of this company alone.
fn told(user: Response<pb::User>) -> Response<pb::User> {
    user.map(|user| pb::User { revision_token: String::new(), ..user })
}

/// Who else there is, in every way to ask.
pub async fn directory(book: &mut Book, company: &Company, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let mut directory = who.directory();
    for user_id in &viewer.colleagues {
        // What nobody sees proves nothing.
        let request = pb::GetUserRequest { user_id: user_id.clone(), read_mask: None };
        answer(directory.get_user(request).await).expect("everybody sees the users of their own department");
        for paths in [&[][..], &["email", "phone"], &["email"], &["phone"]] {
            let request = pb::GetUserRequest { user_id: user_id.clone(), read_mask: mask(paths) };
            let asked = format!("{} {paths:?}", book.named(user_id));
            book.take("identity.v1.Directory/GetUser", &asked, directory.get_user(request).await);
        }
        let asked = book.named(user_id);
        let request = pb::ListRoleAssignmentsRequest { user_id: user_id.clone() };
        let roles = who.access().list_role_assignments(request).await;
        lines(book, "identity.v1.Access/ListRoleAssignments", &asked, roles);
        let request = pb::ListGrantsRequest { holder_id: user_id.clone(), page_size: ALL, ..Default::default() };
        lines(book, "identity.v1.Access/ListGrants", &asked, who.access().list_grants(request).await);
    }
    let others = company.viewers().iter().find(|other| other.name != viewer.name).expect("there are several");
    let request = pb::GetUserRequest { user_id: others.colleagues[0].clone(), read_mask: mask(&["email"]) };
    book.take("identity.v1.Directory/GetUser", "a stranger", directory.get_user(request).await);
    let user_ids = viewer.colleagues.iter().chain(&others.colleagues).cloned().collect();
    let request = pb::BatchGetUsersRequest { user_ids };
    book.take("identity.v1.Directory/BatchGetUsers", "", directory.batch_get_users(request).await);
    for state in 0..=4 {
        for department_id in [String::new(), viewer.department.clone()] {
            let asked = format!("{state} {}", book.named(&department_id));
            let list = async |page_token| {
                let (department_id, page_size) = (department_id.clone(), FEW);
                let request = pb::ListUsersRequest { department_id, state, page_size, page_token };
                who.directory().list_users(request).await
            };
            book.leaf("identity.v1.Directory/ListUsers", &asked, list, |page| &mut page.next_page_token).await;
        }
    }
    let own = directory.get_own_profile(pb::GetOwnProfileRequest {}).await;
    book.take("identity.v1.Directory/GetOwnProfile", "", own);
    structure(book, viewer).await;
}

/// What the company is made of, and who has left it.
async fn structure(book: &mut Book, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let mut directory = who.directory();
    let request = pb::GetTenantRequest { tenant_id: who.tenant_id.to_string() };
    book.take("identity.v1.Directory/GetTenant", "", directory.get_tenant(request).await);
    let request = pb::GetDepartmentRequest { department_id: viewer.department.clone() };
    book.take("identity.v1.Directory/GetDepartment", "", directory.get_department(request).await);
    let request = pb::ListDepartmentsRequest { page_size: ALL, ..Default::default() };
    lines(book, "identity.v1.Directory/ListDepartments", "", directory.list_departments(request).await);
    let request = pb::ListPositionsRequest { page_size: ALL, ..Default::default() };
    let positions = directory.list_positions(request).await;
    let first = positions.as_ref().ok().and_then(|page| page.get_ref().positions.first());
    let position_id = first.map_or_else(|| viewer.department.clone(), |position| position.position_id.clone());
    lines(book, "identity.v1.Directory/ListPositions", "", positions);
    let position = directory.get_position(pb::GetPositionRequest { position_id }).await;
    // Which of those that were made at one instant comes first is drawn.
    let position = position.map(|it| it.map(|it| pb::Position { name: String::new(), ..it }));
    book.take("identity.v1.Directory/GetPosition", "", position);
    let request = pb::ListHandOversRequest { page_size: ALL, ..Default::default() };
    lines(book, "identity.v1.HandOvers/ListHandOvers", "", who.hand_overs().list_hand_overs(request).await);
}

/// Notes an answer line by line, whatever their order: rights and positions that were made at one instant have drawn ids.
pub fn lines<T: Debug>(book: &mut Book, call: &str, asked: &str, answered: Result<Response<T>, Status>) {
    match answer(answered) {
        Ok(answer) => book.sorted(call, asked, format!("{answer:#?}").lines().map(str::to_owned).collect()),
        Err(failure) => book.refused(call, asked, &failure),
    }
}

/// An answer without how long it is good: that ends with a lease, which is renewed now and then.
fn lasting(answer: pb::CheckResponse) -> pb::CheckResponse {
    pb::CheckResponse { valid_until_time: None, ..answer }
}

/// Questions about rights over the colleagues.
pub async fn questions(book: &mut Book, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let mut access = who.access();
    for row_id in &viewer.colleagues {
        let row = pb::RowAttributes {
            row_id: row_id.clone(),
            owner_id: row_id.clone(),
            department_id: viewer.department.clone(),
            ..Default::default()
        };
        for action in ACTIONS {
            let asked = format!("{action} {}", book.named(row_id));
            let check = pb::CheckRequest { action: action.to_owned(), row: Some(row.clone()), ..Default::default() };
            let checked = access.check(check.clone()).await.map(|it| it.map(lasting));
            book.take("identity.v1.Access/Check", &asked, checked);
            let all = pb::BatchCheckRequest { checks: vec![check.clone()] };
            let all = access.batch_check(all).await.map(|it| it.map(|it| several(it.results)));
            book.take("identity.v1.Access/BatchCheck", &asked, all);
            let fields = ["email", "phone", "display_name"].map(str::to_owned).to_vec();
            let fields = pb::CheckFieldsRequest { check: Some(check.clone()), fields };
            let fields = access.check_fields(fields).await;
            let fields = fields.map(|it| it.map(|it| pb::CheckFieldsResponse { answer: it.answer.map(lasting), ..it }));
            book.take("identity.v1.Access/CheckFields", &asked, fields);
            let why = access.explain_access(pb::ExplainAccessRequest { check: Some(check) }).await;
            let why = why.map(|it| it.map(|it| pb::ExplainAccessResponse { answer: it.answer.map(lasting), ..it }));
            let why = why.map(|it| it.map(|it| (it.answer, it.refused_axis, words(&it.explanation))));
            book.take("identity.v1.Access/ExplainAccess", &asked, why);
            let others = pb::ListSubjectsWithAccessRequest {
                action: action.to_owned(),
                row: Some(row.clone()),
                page_size: ALL,
                ..Default::default()
            };
            let others = access.list_subjects_with_access(others).await.map(|it| it.map(|it| it.subjects));
            lines(book, "identity.v1.Access/ListSubjectsWithAccess", &asked, others);
        }
        previews(book, viewer, &row).await;
    }
    for action in ACTIONS {
        let request = pb::ListFilterRequest { action: action.to_owned(), ..Default::default() };
        let filter = access.list_filter(request).await;
        let filter = filter.map(|it| it.map(|it| (it.accounts, it.guards)));
        lines(book, "identity.v1.Access/ListFilter", action, filter);
    }
}

fn several(results: Vec<pb::BatchCheckResult>) -> Vec<pb::BatchCheckResult> {
    use pb::batch_check_result::Result as One;
    let lasting = |it: pb::BatchCheckResult| pb::BatchCheckResult {
        result: it.result.map(|it| match it {
            One::Answer(answer) => One::Answer(lasting(answer)),
            One::ErrorReason(reason) => One::ErrorReason(reason),
        }),
    };
    results.into_iter().map(lasting).collect()
}

/// The words of an explanation in an order of their own: rights that were given at one instant have drawn ids.
fn words(explanation: &str) -> Vec<String> {
    let mut words: Vec<String> = explanation.split_whitespace().map(str::to_owned).collect();
    words.sort_by_key(|word| word.chars().filter(|c| !c.is_ascii_hexdigit()).collect::<String>());
    words
}

/// What changes of a colleague would change, those that may not be made too.
async fn previews(book: &mut Book, viewer: &Viewer, row: &pb::RowAttributes) {
    let who = viewer.person.fresh().await.expect("a session");
    for (paths, user) in edits(viewer, &row.row_id) {
        let update = pb::UpdateUserRequest { user: Some(user), update_mask: mask(paths), ..Default::default() };
        let request = pb::PreviewChangeRequest {
            change: Some(pb::preview_change_request::Change::UpdateUser(update)),
            rows: vec![row.clone()],
            actions: ACTIONS.map(str::to_owned).to_vec(),
            page_size: 10,
            ..Default::default()
        };
        let asked = format!("{} {paths:?}", book.named(&row.row_id));
        let preview = who.access().preview_change(request).await;
        lines(book, "identity.v1.Access/PreviewChange", &asked, preview);
    }
}

/// Edits of a colleague: of what is basic, of addresses, of both; to addresses that somebody has in one of the companies.
fn edits(viewer: &Viewer, id: &str) -> Vec<(&'static [&'static str], pb::User)> {
    let user = pb::User {
        user_id: id.to_owned(),
        display_name: format!("somebody of {}", viewer.name),
        email: mail(viewer.name, COLLEAGUES, "one"),
        phone: phone(viewer.name, COLLEAGUES, "2222"),
        time_zone: "Asia/Urumqi".to_owned(),
        ..Default::default()
    };
    let masks: [&[&str]; 6] =
        [&["display_name"], &["email"], &["phone"], &["email", "phone"], &["time_zone", "email"], &["position_ids"]];
    masks.map(|paths| (paths, user.clone())).to_vec()
}

/// Writes about users: of what the writer may not read, of what the writer may, and of nobody.
pub async fn attempts(book: &mut Book, company: &Company, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let mut directory = who.directory();
    for user_id in &viewer.colleagues {
        for (paths, user) in edits(viewer, user_id) {
            for etag in ["", "1"] {
                let user = pb::User { etag: etag.to_owned(), ..user.clone() };
                let asked = format!("{} {paths:?} {etag:?}", book.named(user_id));
                let request =
                    pb::UpdateUserRequest { user: Some(user), update_mask: mask(paths), ..Default::default() };
                let changed = directory.update_user(request).await.map(told);
                book.take("identity.v1.Directory/UpdateUser", &asked, changed);
            }
        }
        let (user_id, asked) = (user_id.clone(), book.named(user_id));
        let request = pb::SuspendUserRequest { user_id: user_id.clone(), ..Default::default() };
        let stopped = directory.suspend_user(request).await.map(told);
        book.take("identity.v1.Directory/SuspendUser", &asked, stopped);
        let request = pb::ReactivateUserRequest { user_id: user_id.clone(), ..Default::default() };
        let back = directory.reactivate_user(request).await.map(told);
        book.take("identity.v1.Directory/ReactivateUser", &asked, back);
        let link = directory.create_password_link(pb::CreatePasswordLinkRequest { user_id: user_id.clone() }).await;
        book.take("identity.v1.Directory/CreatePasswordLink", &asked, link);
        let rule = Some(pb::successor_rule::Rule::UserId(company.keeper.id.to_string()));
        let request = pb::StartHandOverRequest {
            user_id,
            kind: pb::HandOverKind::Leave.into(),
            successor: Some(pb::SuccessorRule { rule }),
            dry_run: true,
            reason: "a test".to_owned(),
            ..Default::default()
        };
        let shown = who.hand_overs().start_hand_over(request).await;
        let shown = shown.map(|it| it.map(|it| pb::HandOver { revision_token: String::new(), ..it }));
        book.take("identity.v1.HandOvers/StartHandOver", &asked, shown);
    }
    // Whoever is asked for by an address that somebody has is refused like everybody.
    let (email, phone) = (mail(viewer.name, COLLEAGUES, "one"), phone(viewer.name, COLLEAGUES, "2222"));
    for (email, phone) in [(email, String::new()), (String::new(), phone), (String::new(), String::new())] {
        let asked = format!("{} {}", !email.is_empty(), !phone.is_empty());
        let request = pb::CreateUserRequest {
            username: format!("{}.new", viewer.name),
            display_name: "somebody".to_owned(),
            email,
            phone,
            department_id: viewer.department.clone(),
            ..Default::default()
        };
        book.take("identity.v1.Directory/CreateUser", &asked, directory.create_user(request).await);
    }
    let user = pb::User { display_name: format!("{} itself", viewer.name), ..Default::default() };
    let request = pb::UpdateOwnProfileRequest { user: Some(user), update_mask: mask(&["display_name"]) };
    let own = directory.update_own_profile(request).await.map(told);
    book.take("identity.v1.Directory/UpdateOwnProfile", "", own);
    company.world.settle().await;
}
