//! The rules of a generated world as Cedar policies: grants permit, guards forbid, and a level is part of the question.

use revisit_laws::naive::{Extent, Guard, Id, Levels, Origin, Right, Row, Time, Whom, World};

use crate::entities::Organisation;

/// A window without edges.
const ALWAYS: (Time, Time) = (Time::MIN, Time::MAX);
/// The basic layer alone.
const BASIC: usize = 0;
/// A level that is read, as tasks lend the basic layer.
const READ: u8 = 2;

/// The text of the policies about one world.
pub struct Policies {
    /// What forbids, whatever is permitted.
    pub forbids: String,
    /// What everybody's own rights permit.
    pub permits: String,
    /// Delegated rights: whose, by whom, and what they permit.
    pub delegated: Vec<(Id, Id, String)>,
}

/// A right where it holds.
struct Held<'a> {
    holder: Id,
    right: &'a Right,
    window: (Time, Time),
    mine: Vec<Id>,
}

impl Policies {
    pub fn of(organisation: &Organisation<'_>, rows: &[Row]) -> Self {
        let world = organisation.world;
        let mut policies = Self { forbids: ALWAYS_FORBIDDEN.to_owned(), permits: String::new(), delegated: Vec::new() };
        for guard in &world.guards {
            policies.forbids += &forbid(organisation, guard);
        }
        for subject in &world.subjects {
            for (role, window, mine) in roles(organisation, subject.id) {
                for right in world.roles.iter().filter(|it| it.id == role).flat_map(|it| &it.rights) {
                    let held = Held { holder: subject.id, right, window, mine: mine.clone() };
                    policies.permits += &permits(organisation, &held, rows);
                }
            }
            for grant in world.grants.iter().filter(|it| it.holder == subject.id) {
                let mine = subject.departments.clone();
                let held = Held { holder: subject.id, right: &grant.right, window: grant.window, mine };
                let text = permits(organisation, &held, rows);
                match grant.origin {
                    Origin::Delegation(giver) => policies.delegated.push((subject.id, giver, text)),
                    Origin::Direct | Origin::Share | Origin::Temporary | Origin::Team | Origin::BreakGlass => {
                        policies.permits += &text;
                    }
                }
            }
        }
        policies
    }
}

/// What no grant can permit.
const ALWAYS_FORBIDDEN: &str = r#"
forbid(principal, action, resource) unless { principal.tenant == resource.tenant };
forbid(principal, action, resource) unless { principal.active };
forbid(principal, action, resource) when { resource.written_under > context.revision };
forbid(principal, action == Action::"customer.transfer", resource) when { principal.off.contains("sales") };
forbid(principal, action == Action::"customer.tag", resource) when { principal.off.contains("marketing") };
forbid(principal, action == Action::"task.view", resource) when { principal.off.contains("service") };
"#;

/// Who owns a row, or holds a task, for an account that asks: itself or the sub-account that it is asked for.
fn is_asking(user: &str) -> String {
    format!("({user} == principal || {user} == context.subject)")
}

fn list(actions: &[&str]) -> String {
    actions.iter().map(|name| format!("Action::\"{name}\"")).collect::<Vec<_>>().join(", ")
}

fn within((from, until): (Time, Time)) -> String {
    let from = if from == Time::MIN { "true".to_owned() } else { format!("context.now >= {from}") };
    format!("{from} && context.now < {until}")
}

/// That no more is asked for than these levels.
fn at_most(levels: Levels) -> String {
    let layers = levels.iter().enumerate();
    let each = layers.map(|(layer, level)| format!("(context.layer == {layer} && context.level <= {level})"));
    format!("({})", each.collect::<Vec<_>>().join(" || "))
}

fn one_of(attribute: &str, names: Option<&Vec<&'static str>>) -> String {
    names.map_or_else(String::new, |names| {
        format!(" && resource has {attribute} && {names:?}.contains(resource.{attribute})")
    })
}

const IN_POOL: &str = "resource.pooled && !(resource has owner)";

/// The policies of one right: one for each place and for each task that it reaches.
fn permits(organisation: &Organisation<'_>, held: &Held<'_>, rows: &[Row]) -> String {
    let right = held.right;
    let places = |place: &Option<Id>| -> Vec<Id> {
        let named = place.map_or_else(|| held.mine.clone(), |at| vec![at]);
        named.into_iter().filter_map(|id| organisation.place(id)).collect()
    };
    let at = |place: &Option<Id>, test: &str, pool: &str, levels: Levels| -> Vec<(String, Levels)> {
        let reach =
            |id| format!("resource has department && resource.department {test} Department::\"{id}\" && {pool}");
        places(place).into_iter().map(|id| (reach(id), levels)).collect()
    };
    let outside = format!("!({IN_POOL})");
    let mut basic = [0; 5];
    basic[BASIC] = right.levels[BASIC];
    let reaches: Vec<(String, Levels)> = match &right.extent {
        Extent::Own => vec![(format!("resource has owner && {}", is_asking("resource.owner")), right.levels)],
        Extent::Tenant => vec![("true".to_owned(), right.levels)],
        Extent::Ids(ids) => {
            let rows: Vec<_> = ids.iter().map(|id| format!("Row::\"{id}\"")).collect();
            vec![(format!("[{}].contains(resource)", rows.join(", ")), right.levels)]
        }
        Extent::Department(place) => at(place, "==", &outside, right.levels),
        Extent::Subtree(place) => at(place, "in", &outside, right.levels),
        Extent::Pooled(place) => at(place, "==", IN_POOL, basic),
        Extent::PooledSubtree(place) => at(place, "in", IN_POOL, basic),
        Extent::Team(id) => organisation.world.teams.iter().filter(|it| it.id == *id).map(team(right.levels)).collect(),
        Extent::Task => rows.iter().flat_map(|row| tasks(row, right.levels)).collect(),
    };
    let policy = |(reach, levels): (String, Levels)| {
        format!(
            "permit(principal == User::\"{}\", action in [{}], resource) when {{ {reach} && {} && {}{}{} }};\n",
            held.holder,
            list(&right.actions),
            within(held.window),
            at_most(levels),
            one_of("stage", right.stages.as_ref()),
            one_of("grade", right.grades.as_ref()),
        )
    };
    reaches.into_iter().map(policy).collect()
}

/// What a grant through a team reaches: no more than the team's cap, while it works, and members only.
fn team(levels: Levels) -> impl Fn(&revisit_laws::naive::Team) -> (String, Levels) {
    move |team| {
        let (id, window, cap) = (team.id, within(team.window), at_most(team.cap));
        (format!("principal in Team::\"{id}\" && resource.teams.contains(Team::\"{id}\") && {window} && {cap}"), levels)
    }
}

/// What the open tasks on a row lend: read at the least of the basic layer, and no more than the right gives.
fn tasks(row: &Row, levels: Levels) -> impl Iterator<Item = (String, Levels)> {
    row.holders.iter().filter_map(move |task| {
        let holder = is_asking(&format!("User::\"{}\"", task.subject?));
        let mut lent = task.layers;
        lent[BASIC] = lent[BASIC].max(READ);
        let reach = format!("resource == Row::\"{}\" && {holder} && context.now < {}", row.id, task.until);
        Some((format!("{reach} && {}", at_most(lent)), levels))
    })
}

fn forbid(organisation: &Organisation<'_>, guard: &Guard) -> String {
    let mut tests = vec![whom(organisation, guard), within(guard.window)];
    tests.extend(guard.vip.then(|| "resource.vip".to_owned()));
    tests.extend(guard.pooled.then(|| "resource.pooled".to_owned()));
    tests.extend(guard.department.map(|top| match organisation.place(top) {
        Some(top) => format!("resource has department && resource.department in Department::\"{top}\""),
        None => "false".to_owned(),
    }));
    tests.extend(guard.ids.as_ref().map(|ids| {
        let rows: Vec<_> = ids.iter().map(|id| format!("Row::\"{id}\"")).collect();
        format!("[{}].contains(resource)", rows.join(", "))
    }));
    tests.extend(guard.cap.map(|cap| format!("!{}", at_most(cap))));
    let mut except: Vec<String> = guard.except.iter().map(|id| format!("context.subject == User::\"{id}\"")).collect();
    if guard.except_owner {
        except.push("(resource has owner && resource.owner == context.subject)".to_owned());
    }
    if guard.except_managers {
        let line = "resource.owner_line in context.line && resource.owner_line != context.line";
        except.push(format!("(resource has owner_line && {line})"));
    }
    let unless = if except.is_empty() { "false".to_owned() } else { except.join(" || ") };
    format!(
        "forbid(principal, action in [{}], resource) when {{ {}{}{} }} unless {{ {unless} }};\n",
        list(&guard.actions),
        tests.join(" && "),
        one_of("stage", guard.stages.as_ref()),
        one_of("grade", guard.grades.as_ref()),
    )
}

/// Whom a guard binds, as a test of the account that is asked.
fn whom(organisation: &Organisation<'_>, guard: &Guard) -> String {
    match guard.whom {
        Whom::Everyone => "true".to_owned(),
        Whom::Subject(id) => format!("principal == User::\"{id}\""),
        Whom::Department(top) => {
            organisation.place(top).map_or("false".to_owned(), |top| format!("principal in Department::\"{top}\""))
        }
        Whom::Role(role) => {
            let people = organisation.world.subjects.iter().map(|it| it.id);
            let held = people.flat_map(|id| roles(organisation, id).into_iter().map(move |held| (id, held)));
            let holders = held.filter(|(_, (held, ..))| *held == role);
            let tests =
                holders.map(|(id, (_, window, _))| format!("(principal == User::\"{id}\" && {})", within(window)));
            let tests: Vec<_> = tests.collect();
            if tests.is_empty() { "false".to_owned() } else { format!("({})", tests.join(" || ")) }
        }
    }
}

/// The roles of a subject: of its positions, where they hold in a department of its own, unless withheld; and the added.
fn roles(organisation: &Organisation<'_>, subject: Id) -> Vec<(Id, (Time, Time), Vec<Id>)> {
    let World { positions, assignments, .. } = organisation.world;
    let Some(it) = organisation.subject(subject) else { return Vec::new() };
    let own: Vec<_> = assignments.iter().filter(|given| given.subject == subject).collect();
    let mut roles = Vec::new();
    for position in positions.iter().filter(|position| it.positions.contains(&position.id)) {
        let lies = |id: &&Id| organisation.lies_below(**id, position.department);
        let mine: Vec<Id> = it.departments.iter().filter(lies).copied().collect();
        if mine.is_empty() {
            continue;
        }
        let given = |role: &&Id| !own.iter().any(|it| it.role == **role && it.added.is_none());
        roles.extend(position.roles.iter().filter(given).map(|role| (*role, ALWAYS, mine.clone())));
    }
    roles.extend(own.iter().filter_map(|given| Some((given.role, given.added?, it.departments.clone()))));
    roles
}
