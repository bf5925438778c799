//! The company as casbin holds it: RBAC with domains and a matcher over attributes, the action tested first, which was the
//! fastest order that we found. Rows that somebody was granted come with the request: as policies they would be scanned
//! one by one.

use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi, function_map::OperatorFunction, rhai::Dynamic};

use crate::company::{About, Company, GRANTED, Question, Scope};

pub const VERSION: &str = "casbin 2.20.0";

const MODEL: &str = r#"
[request_definition]
r = sub, dom, obj, act
[policy_definition]
p = role, dom, act, scope, stages
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.act == p.act && r.dom == p.dom && ((p.scope == "granted" && r.obj.granted) || (g(r.sub.id, p.role, r.dom) && oneOf(p.stages, r.obj.stage) && (p.scope == "all" || (p.scope == "own" && r.obj.owner == r.sub.id) || (p.scope == "dept" && r.obj.dept == r.sub.dept) || (p.scope == "subtree" && r.obj.label >= r.sub.enter && r.obj.label < r.sub.exit))))
"#;

#[derive(serde::Serialize, Clone, Hash)]
struct Who {
    id: String,
    dept: i64,
    enter: i64,
    exit: i64,
}

#[derive(serde::Serialize, Clone, Hash)]
struct What {
    owner: String,
    dept: i64,
    label: i64,
    stage: String,
    granted: bool,
}

pub struct Casbin<'a> {
    company: &'a Company,
    enforcer: Enforcer,
}

impl<'a> Casbin<'a> {
    pub async fn new(company: &'a Company) -> Self {
        let model = DefaultModel::from_str(MODEL).await.expect("the model is well formed");
        let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await.expect("memory holds it");
        let one_of = |names: Dynamic, name: Dynamic| {
            let text = |it: Dynamic| it.into_immutable_string().unwrap_or_default();
            let (names, name) = (text(names), text(name));
            names.split(' ').any(|it| it == name.as_str()).into()
        };
        enforcer.add_function("oneOf", OperatorFunction::Arg2(one_of));
        let mut policies = Vec::new();
        for (role, rules) in company.rules.iter().enumerate() {
            for (action, rule) in rules.iter().enumerate() {
                let Some(rule) = rule else { continue };
                let scope = match rule.scope {
                    Scope::Own => "own",
                    Scope::Department => "dept",
                    Scope::Subtree => "subtree",
                    Scope::All => "all",
                };
                let all = || (0..crate::company::STAGES).collect();
                let stages =
                    rule.stages().unwrap_or_else(all).iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
                policies.push(vec![
                    format!("role{role}"),
                    "t".to_owned(),
                    action.to_string(),
                    scope.to_owned(),
                    stages,
                ]);
            }
        }
        policies.extend(
            GRANTED
                .iter()
                .map(|action| ["everybody", "t", &action.to_string(), "granted", "-"].map(str::to_owned).to_vec()),
        );
        let people = company.people.iter().enumerate();
        let roles = people.flat_map(|(number, person)| {
            person.roles.iter().map(move |role| vec![format!("u{number}"), format!("role{role}"), "t".to_owned()])
        });
        enforcer.add_policies(policies).await.expect("every policy is new");
        enforcer.add_grouping_policies(roles.collect()).await.expect("every role is given once");
        Self { company, enforcer }
    }

    pub fn decide(&self, it: &Question) -> bool {
        let (who, row) = (&self.company.people[it.person], &self.company.customers[it.customer]);
        let granted = |place: &usize| match &self.company.grants[*place].about {
            About::Customers(customers) => customers.contains(&it.customer),
            About::Department(department) => row.department == *department,
        };
        let (enter, exit) = self.company.intervals[who.department];
        let number = |it: usize| i64::try_from(it).unwrap_or(i64::MAX);
        let subject = Who {
            id: format!("u{}", it.person),
            dept: number(who.department),
            enter: number(enter),
            exit: number(exit),
        };
        let object = What {
            owner: format!("u{}", row.owner),
            dept: number(row.department),
            label: number(self.company.intervals[row.department].0),
            stage: row.stage.to_string(),
            granted: self.company.held[it.person].iter().any(granted),
        };
        self.enforcer.enforce((subject, "t", object, it.action.to_string())).expect("the matcher is well formed")
    }
}
