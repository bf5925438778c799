//! The demo's company: who works where, in which position; and a second company, so that isolation can be seen.

use std::collections::BTreeMap;

use revisit_bootstrap::status::answer;
use revisit_core::{Clock, Failure};
use revisit_proto::identity::v1 as pb;
use tonic::transport::Channel;

use crate::client::{Credentials, Person};

/// Password of everybody in the demo. It opens nothing but a throw-away folder.
pub const PASSWORD: &str = "huifang-2027-demo";

/// People who are hired at once.
const HIRED_AT_ONCE: usize = 4;

/// A person to hire.
pub struct Hire {
    /// Log-in name.
    pub username: &'static str,
    /// Name.
    pub name: &'static str,
    /// Role of the position.
    pub role: &'static str,
    /// Department.
    pub department: &'static str,
    /// Whether they read mail; others are reached in the inbox only.
    pub mail: bool,
}

const fn hire(
    username: &'static str,
    name: &'static str,
    role: &'static str,
    department: &'static str,
    mail: bool,
) -> Hire {
    Hire { username, name, role, department, mail }
}

/// Positions: the shipped role and the name that people know.
const POSITIONS: [(&str, &str); 8] = [
    ("sales_rep", "销售顾问"),
    ("sales_manager", "店长"),
    ("regional_manager", "大区经理"),
    ("marketing", "市场专员"),
    ("service", "客服专员"),
    ("finance", "财务"),
    ("executive", "总经理"),
    ("auditor", "审计"),
];

/// Department, the one above it (empty: the root), and who heads it (empty: nobody, so the one above decides).
const DEPARTMENTS: [(&str, &str, &str); 16] = [
    ("市场部", "", ""),
    ("华东大区", "", "han"),
    ("华北大区", "", "bo"),
    ("华南大区", "", "yue"),
    ("华东客服", "华东大区", ""),
    ("华北客服", "华北大区", ""),
    ("华南客服", "华南大区", ""),
    ("上海徐汇店", "华东大区", "hui"),
    ("上海浦东店", "华东大区", ""),
    ("杭州西湖店", "华东大区", ""),
    ("北京朝阳店", "华北大区", "jing"),
    ("北京海淀店", "华北大区", ""),
    ("天津和平店", "华北大区", ""),
    ("广州天河店", "华南大区", "sui"),
    ("深圳南山店", "华南大区", ""),
    ("佛山禅城店", "华南大区", ""),
];

/// The stores, as column 门店 of the customer files has them.
pub const STORES: [&str; 9] = [
    "上海徐汇店",
    "上海浦东店",
    "杭州西湖店",
    "北京朝阳店",
    "北京海淀店",
    "天津和平店",
    "广州天河店",
    "深圳南山店",
    "佛山禅城店",
];

/// Everybody but the administrator, whom `init` makes. The sales director leads from the root: all regions lie below.
pub const STAFF: [Hire; 26] = [
    hire("zhao", "赵敏", "executive", "", true),
    hire("zong", "宗总", "regional_manager", "", false),
    hire("cai", "蔡琴", "finance", "", false),
    hire("shen", "沈计", "auditor", "", false),
    hire("lin", "林夏", "marketing", "市场部", true),
    hire("wen", "温柔", "service", "华东客服", true),
    hire("an", "安然", "service", "华北客服", false),
    hire("ning", "宁静", "service", "华南客服", false),
    hire("han", "韩东", "regional_manager", "华东大区", true),
    hire("bo", "薄北", "regional_manager", "华北大区", true),
    hire("yue", "岳南", "regional_manager", "华南大区", true),
    hire("hui", "徐慧", "sales_manager", "上海徐汇店", true),
    hire("jing", "景阳", "sales_manager", "北京朝阳店", true),
    hire("sui", "穗河", "sales_manager", "广州天河店", true),
    hire("mei", "梅芳", "sales_rep", "上海徐汇店", true),
    hire("jun", "军伟", "sales_rep", "上海徐汇店", false),
    hire("qiang", "钱强", "sales_rep", "上海浦东店", false),
    hire("na", "倪娜", "sales_rep", "杭州西湖店", true),
    hire("lei", "雷磊", "sales_rep", "北京朝阳店", false),
    hire("fang", "方圆", "sales_rep", "北京朝阳店", false),
    hire("chao", "晁超", "sales_rep", "北京海淀店", true),
    hire("gang", "甘刚", "sales_rep", "天津和平店", false),
    hire("tao", "陶涛", "sales_rep", "广州天河店", false),
    hire("yan", "严妍", "sales_rep", "广州天河店", true),
    hire("xia", "夏霞", "sales_rep", "深圳南山店", false),
    hire("ping", "平安", "sales_rep", "佛山禅城店", false),
];

/// A company with everybody logged in.
pub struct Company {
    /// Key at log-in.
    pub key: String,
    /// The administrator.
    pub admin: Person,
    /// Everybody else, by log-in name.
    pub staff: BTreeMap<&'static str, Person>,
    /// UUIDs of the departments, by name.
    pub departments: BTreeMap<&'static str, String>,
}

impl Company {
    /// Somebody of the staff; the administrator for a name that is not there.
    #[must_use]
    pub fn person(&self, username: &str) -> &Person {
        self.staff.get(username).unwrap_or(&self.admin)
    }

    /// The sales representatives of a store, by log-in name.
    #[must_use]
    pub fn reps_of(store: &str) -> Vec<&'static str> {
        let of_store = STAFF.iter().filter(|hire| hire.role == "sales_rep" && hire.department == store);
        of_store.map(|hire| hire.username).collect()
    }
}

/// What is needed to talk to a running Revisit.
#[derive(Clone)]
pub struct Door {
    /// The channel.
    pub channel: Channel,
    /// The clock of the whole.
    pub clock: Clock,
}

/// Builds the company below the administrator that `init` has made.
pub async fn build(door: &Door, admin: Person) -> Result<Company, Failure> {
    let tenant = pb::GetTenantRequest { tenant_id: admin.tenant_id.to_string() };
    let tenant = answer(admin.directory().get_tenant(tenant).await)?;
    let mut departments = BTreeMap::from([("", tenant.root_department_id.clone())]);
    for (name, above, _) in DEPARTMENTS {
        let parent_id = departments.get(above).cloned().unwrap_or_default();
        let request = pb::CreateDepartmentRequest { parent_id, name: name.to_owned(), ..Default::default() };
        departments.insert(name, answer(admin.directory().create_department(request).await)?.department_id);
    }
    let positions = positions(&admin, &tenant.root_department_id).await?;
    let mut staff = BTreeMap::new();
    // A few at a time: each change of the directory is one revision of the company's log, and they queue.
    for some in STAFF.chunks(HIRED_AT_ONCE) {
        let hired = some.iter().map(|hire| employ(door, &admin, &tenant.key, hire, (&departments, &positions)));
        let hired = futures::future::try_join_all(hired).await?;
        staff.extend(some.iter().map(|hire| hire.username).zip(hired));
    }
    let company = Company { key: tenant.key, admin, staff, departments };
    appoint_heads(&company).await?;
    Ok(company)
}

async fn positions(admin: &Person, root: &str) -> Result<BTreeMap<&'static str, String>, Failure> {
    let roles =
        answer(admin.access().list_roles(pb::ListRolesRequest { page_size: 1000, ..Default::default() }).await)?;
    let mut positions = BTreeMap::new();
    for (key, name) in POSITIONS {
        let role = roles.roles.iter().find(|role| role.key == key);
        let role = role.ok_or_else(|| Failure::internal(format!("the shipped role {key} is missing")))?;
        let request = pb::CreatePositionRequest {
            department_id: root.to_owned(),
            name: name.to_owned(),
            role_ids: vec![role.role_id.clone()],
            ..Default::default()
        };
        positions.insert(key, answer(admin.directory().create_position(request).await)?.position_id);
    }
    Ok(positions)
}

type Names = BTreeMap<&'static str, String>;

async fn employ(
    door: &Door,
    admin: &Person,
    tenant: &str,
    hire: &Hire,
    (departments, positions): (&Names, &Names),
) -> Result<Person, Failure> {
    let request = pb::CreateUserRequest {
        username: hire.username.to_owned(),
        display_name: hire.name.to_owned(),
        email: if hire.mail { format!("{}@{tenant}.example", hire.username) } else { String::new() },
        phone: if hire.mail { String::new() } else { format!("+86 139 0001 {:04}", number(hire)) },
        department_id: departments.get(hire.department).cloned().unwrap_or_default(),
        position_ids: positions.get(hire.role).cloned().into_iter().collect(),
        ..Default::default()
    };
    let made = answer(admin.directory().create_user(request).await)?;
    let who = credentials(tenant, hire.username);
    Person::accept(door.channel.clone(), door.clock.clone(), made.password_token, &who).await
}

fn number(hire: &Hire) -> usize {
    STAFF.iter().position(|other| other.username == hire.username).unwrap_or_default()
}

/// The log-in of somebody of a company of the demo.
#[must_use]
pub fn credentials(tenant: &str, username: &str) -> Credentials {
    Credentials { tenant: tenant.to_owned(), username: username.to_owned(), password: PASSWORD.to_owned() }
}

async fn appoint_heads(company: &Company) -> Result<(), Failure> {
    for (name, _, head) in DEPARTMENTS.iter().filter(|(_, _, head)| !head.is_empty()) {
        let department_id = company.departments.get(name).cloned().unwrap_or_default();
        let head_id = company.person(head).id.to_string();
        let department = pb::Department { department_id, head_id, ..Default::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["head_id".to_owned()] });
        let request = pb::UpdateDepartmentRequest { department: Some(department), update_mask, ..Default::default() };
        answer(company.admin.directory().update_department(request).await)?;
    }
    Ok(())
}

/// Makes the second company: an administrator and one representative.
pub async fn build_second(door: &Door, operator: &Person) -> Result<Company, Failure> {
    let request = pb::CreateTenantRequest {
        key: "songshu".to_owned(),
        display_name: "松树教育".to_owned(),
        administrator_username: "admin".to_owned(),
        administrator_email: "admin@songshu.example".to_owned(),
        ..Default::default()
    };
    let made = answer(operator.directory().create_tenant(request).await)?;
    let tenant = made.tenant.unwrap_or_default();
    let who = credentials(&tenant.key, "admin");
    let admin = Person::accept(door.channel.clone(), door.clock.clone(), made.password_token, &who).await?;
    let positions = positions(&admin, &tenant.root_department_id).await?;
    let departments = BTreeMap::from([("", tenant.root_department_id)]);
    let rep = hire("song", "宋松", "sales_rep", "", true);
    let person = employ(door, &admin, &tenant.key, &rep, (&departments, &positions)).await?;
    let staff = BTreeMap::from([("song", person)]);
    Ok(Company { key: tenant.key, admin, staff, departments })
}
