//! The company as cedar-policy holds it, in the fastest form that we found: only the policies of the person's roles, and a
//! slice of entities made for the question, which is the preparation that a caller needs. Rows that somebody was granted
//! are a set in the person's attributes, not policies, which would be scanned one by one.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};

use crate::company::{ACTIONS, About, Company, GRANTED, Question, Scope};

pub const VERSION: &str = "cedar-policy 4.14.1";

struct Types {
    user: EntityTypeName,
    role: EntityTypeName,
    department: EntityTypeName,
    customer: EntityTypeName,
}

pub struct Cedar<'a> {
    company: &'a Company,
    types: Types,
    actions: Vec<EntityUid>,
    departments: Vec<Entity>,
    roles: Vec<Entity>,
    people: Vec<Entity>,
    policies: HashMap<Vec<usize>, PolicySet>,
    authorizer: Authorizer,
}

fn name(text: &str) -> EntityTypeName {
    text.parse().expect("a plain name is an entity type")
}

fn uid(kind: &EntityTypeName, number: usize) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(number.to_string()))
}

impl<'a> Cedar<'a> {
    pub fn new(company: &'a Company) -> Self {
        let types =
            Types { user: name("User"), role: name("Role"), department: name("Dept"), customer: name("Customer") };
        let department = |(number, parent): (usize, &Option<usize>)| {
            let above = parent.map(|parent| uid(&types.department, parent)).into_iter().collect();
            Entity::new_no_attrs(uid(&types.department, number), above)
        };
        let role = |number| Entity::new_no_attrs(uid(&types.role, number), HashSet::new());
        let mut policies = HashMap::new();
        for person in &company.people {
            policies.entry(person.roles.clone()).or_insert_with(|| {
                let roles = person.roles.iter().flat_map(|role| of_role(company, *role));
                let text: String = roles.chain(of_grants()).collect();
                text.parse().expect("the policies are well formed")
            });
        }
        Self {
            company,
            actions: (0..ACTIONS).map(|number| uid(&name("Action"), number)).collect(),
            departments: company.parents.iter().enumerate().map(department).collect(),
            roles: (0..company.rules.len()).map(role).collect(),
            people: (0..company.people.len()).map(|number| person(company, &types, number)).collect(),
            types,
            policies,
            authorizer: Authorizer::new(),
        }
    }

    pub fn decide(&self, it: &Question) -> bool {
        let who = &self.company.people[it.person];
        let request = Request::new(
            self.people[it.person].uid(),
            self.actions[it.action].clone(),
            uid(&self.types.customer, it.customer),
            Context::empty(),
            None,
        );
        let request = request.expect("without a schema every request is well formed");
        let policies = &self.policies[&who.roles];
        self.authorizer.is_authorized(&request, policies, &self.slice(it)).decision() == Decision::Allow
    }

    /// What a service would load: the person, its roles, the customer, and the departments above the customer.
    fn slice(&self, it: &Question) -> Entities {
        let (who, row) = (&self.company.people[it.person], &self.company.customers[it.customer]);
        let mut entities = vec![self.people[it.person].clone()];
        entities.extend(who.roles.iter().map(|role| self.roles[*role].clone()));
        let attributes = HashMap::from([
            ("owner".to_owned(), RestrictedExpression::new_entity_uid(uid(&self.types.user, row.owner))),
            ("dept".to_owned(), RestrictedExpression::new_entity_uid(uid(&self.types.department, row.department))),
            ("stage".to_owned(), RestrictedExpression::new_long(row.stage as i64)),
        ]);
        let customer = Entity::new(uid(&self.types.customer, it.customer), attributes, HashSet::new());
        entities.push(customer.expect("the attributes are plain values"));
        let above = std::iter::successors(Some(row.department), |department| self.company.parents[*department]);
        entities.extend(above.map(|department| self.departments[department].clone()));
        Entities::from_entities(entities, None).expect("no entity is there twice")
    }
}

fn person(company: &Company, types: &Types, number: usize) -> Entity {
    let it = &company.people[number];
    let (mut rows, mut departments) = (Vec::new(), Vec::new());
    for grant in &company.held[number] {
        match &company.grants[*grant].about {
            About::Customers(customers) => rows.extend(customers.iter().map(|row| uid(&types.customer, *row))),
            About::Department(department) => departments.push(uid(&types.department, *department)),
        }
    }
    let set = |uids: Vec<EntityUid>| {
        RestrictedExpression::new_set(uids.into_iter().map(RestrictedExpression::new_entity_uid))
    };
    let attributes = HashMap::from([
        ("dept".to_owned(), RestrictedExpression::new_entity_uid(uid(&types.department, it.department))),
        ("rows".to_owned(), set(rows)),
        ("depts".to_owned(), set(departments)),
    ]);
    let roles = it.roles.iter().map(|role| uid(&types.role, *role)).collect();
    Entity::new(uid(&types.user, number), attributes, roles).expect("the attributes are plain values")
}

/// One policy for each scope and set of stages, its actions in a list, as one would write it.
fn of_role(company: &Company, role: usize) -> Vec<String> {
    let mut groups: Vec<(crate::company::Rule, Vec<usize>)> = Vec::new();
    for (action, rule) in company.rules[role].iter().enumerate() {
        let Some(rule) = rule else { continue };
        match groups.iter_mut().find(|(known, _)| known == rule) {
            Some((_, actions)) => actions.push(action),
            None => groups.push((*rule, vec![action])),
        }
    }
    let policy = |(rule, actions): (crate::company::Rule, Vec<usize>)| {
        let place = match rule.scope {
            Scope::Own => "resource.owner == principal",
            Scope::Department => "resource.dept == principal.dept",
            Scope::Subtree => "resource.dept in principal.dept",
            Scope::All => "true",
        };
        let stages =
            rule.stages().map_or_else(String::new, |stages| format!(" && {stages:?}.contains(resource.stage)"));
        let actions = list(&actions);
        format!("permit(principal in Role::\"{role}\", action in [{actions}], resource) when {{ {place}{stages} }};\n")
    };
    groups.into_iter().map(policy).collect()
}

fn of_grants() -> [String; 2] {
    let actions = list(&GRANTED);
    let policy = |held: &str| format!("permit(principal, action in [{actions}], resource) when {{ {held} }};\n");
    [policy("principal.rows.contains(resource)"), policy("principal.depts.contains(resource.dept)")]
}

fn list(actions: &[usize]) -> String {
    actions.iter().map(|action| format!("Action::\"{action}\"")).collect::<Vec<_>>().join(", ")
}
