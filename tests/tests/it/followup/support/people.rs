//! Who works in the company: rights for the fake identity, and the same people as the service hears of them.

use revisit_core::{Timestamp, id::GrantId};
use revisit_permission::{
    Action, Assigned, Change, Department, Effect, Grant, Levels, Origin, Removed, Role, RoleAssignment, Subject,
    SubjectState, Tenant, Whom, shipped_roles,
};
use revisit_proto::identity::v1 as identity;
use revisit_tests::rights::{everywhere, guard};

use super::{BEGIN, Company};

impl Company {
    /// Rights: the shipped roles, a store with a manager at its head.
    pub(super) fn found(&self) {
        let roles = [
            ("admin", "admin"),
            ("boss", "executive"),
            ("manager", "sales_manager"),
            ("rep", "sales_rep"),
            ("colleague", "sales_rep"),
        ];
        let mut changes = vec![
            Change::Tenant(Tenant { administrator: Some(self.who("admin")), modules_off: Vec::new(), region: None }),
            Change::Department(Department {
                id: self.store,
                parent: None,
                name: "store".into(),
                head: Some(self.who("manager")),
                disabled: false,
                merged_into: None,
                modules_off: Vec::new(),
            }),
        ];
        for (person, key) in roles {
            let mut subject = Subject::user(self.who(person), person, SubjectState::Active);
            subject.department = Some(self.store);
            changes.push(Change::Subject(subject));
            let shipped = shipped_roles().iter().find(|role| role.key == key).expect("it ships");
            let role = Role {
                id: self.ids.next(BEGIN),
                key: format!("{key}-{person}"),
                name: key.into(),
                shipped: None,
                templates: shipped.templates.clone(),
            };
            let assigned = Assigned::Added { from: Timestamp::MIN, until: Timestamp::MAX };
            let assignment = RoleAssignment { subject: self.who(person), role: role.id, assigned };
            changes.extend([Change::Role(role), Change::RoleAssignment(assignment)]);
        }
        self.identity.commit(changes);
    }

    /// The same people as the follow-up service hears of them.
    pub(super) async fn hire(&self) {
        let store = identity::DepartmentChanged {
            department_id: self.store.to_string(),
            version: 1,
            head_id: self.who("manager").to_string(),
            ..Default::default()
        };
        self.event("identity", self.store.uuid(), &store).await;
        for name in ["admin", "boss", "manager", "rep", "colleague"] {
            self.person(name, identity::SubjectState::Active, 1).await;
        }
        self.settle().await;
    }

    /// From now on a guard takes something from what somebody may do, wherever the service decides.
    pub async fn guard(&self, who: &str, action: Action, effect: Effect) {
        self.govern(Change::Guard(guard(Whom::Subject(self.who(who)), &[action], effect))).await;
    }

    /// From now on somebody may do something in the whole company, whatever their roles say.
    pub async fn grant(&self, who: &str, actions: &[Action], levels: Levels) -> GrantId {
        let right = everywhere(actions, levels);
        let (id, window) = (self.new_id(), (Timestamp::MIN, Timestamp::MAX));
        self.govern(Change::Grant(Grant::of(id, self.who(who), right, window, Origin::Direct))).await;
        id
    }

    /// And no longer.
    pub async fn revoke(&self, who: &str, id: GrantId) {
        self.govern(Change::Removed(Removed::Grant { holder: self.who(who), id })).await;
    }

    /// Changes what somebody may do, wherever the service decides.
    async fn govern(&self, change: Change) {
        let revision = self.identity.commit(vec![change]);
        for replica in &self.replicas {
            replica.runtime.lease.reach(self.identity.tenant, revision).await.expect("the change arrives");
        }
    }

    /// Tells that somebody is in a state.
    pub async fn person(&self, name: &'static str, state: identity::SubjectState, version: i64) {
        let manager = match name {
            "admin" => String::new(),
            "boss" | "manager" => self.who("admin").to_string(),
            _ => self.who("manager").to_string(),
        };
        let changed = identity::UserChanged {
            user_id: self.who(name).to_string(),
            version,
            state: state.into(),
            display_name: name.into(),
            time_zone: "Asia/Shanghai".into(),
            manager_id: manager,
            department_id: self.store.to_string(),
            ..Default::default()
        };
        self.event("identity", self.who(name).uuid(), &changed).await;
    }
}
