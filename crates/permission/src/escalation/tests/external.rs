//! Who gains what by way of a registered type.

use super::*;

/// A registered type without names and fields of its own.
fn registered(name: &str) -> ExternalType {
    ExternalType {
        name: name.into(),
        actions: std::collections::BTreeMap::new(),
        fields: std::collections::BTreeMap::new(),
        attributes: Resource::External.attributes().to_vec(),
        keeping: crate::Keeping::Sent,
    }
}

/// A right to rows of registered types, as a grant of its own.
fn over(holder: u128, grant: u128, types: Option<&[&str]>) -> Grant {
    let external = types.map(|types| types.iter().copied().collect());
    let right = Template { external, ..right(&[Action::ExternalView], Extent::Own, Levels::READ) };
    Grant::of(grant_id(grant), id(holder), right, ALWAYS, Origin::Direct)
}

/// A guard that hides contracts.
fn hidden_from(whom: crate::Whom) -> Change {
    Change::Guard(crate::Guard {
        id: id(9),
        whom,
        except: crate::Exceptions::default(),
        actions: actions(&[Action::ExternalView]),
        condition: crate::RowCondition { external: Some(["contract"].into_iter().collect()), ..Default::default() },
        effect: crate::Effect::Deny,
        from: ALWAYS.0,
        until: ALWAYS.1,
        reason: String::new(),
    })
}

#[test]
fn what_is_delegated_of_rows_of_other_systems_is_held_type_by_type() {
    let of_type = |name: &str| Change::ExternalType(registered(name));
    let held = |types| Change::Grant(over(REP_ONE, 40, types));
    let may = |changes: &[Change], types| {
        let grant = Grant { origin: Origin::Delegation(id(REP_ONE)), ..over(NEWCOMER, 41, types) };
        company_with(changes).may_grant(id(REP_ONE), &grant, NOW).is_ok()
    };
    let both = [of_type("contract"), of_type("invoice"), held(Some(&["contract", "invoice"]))];
    assert!(may(&both, Some(&["contract"])) && may(&both, Some(&["contract", "invoice"])));
    assert!(!may(&both, None), "a type may be registered tomorrow");
    let one = [of_type("contract"), of_type("invoice"), held(Some(&["contract"]))];
    assert!(!may(&one, Some(&["contract", "invoice"])));
    let all = [of_type("contract"), held(None)];
    assert!(may(&all, Some(&["contract"])) && may(&all, None));
    let hidden = hidden_from(crate::Whom::Subject(id(REP_ONE)));
    let barred = [of_type("contract"), of_type("invoice"), held(None), hidden];
    assert!(may(&barred, Some(&["invoice"])) && !may(&barred, Some(&["contract"])) && !may(&barred, None));
}

#[test]
fn who_holds_rights_to_a_type_is_widened_by_new_names_other_verbs_and_moved_fields() {
    let update = |types| {
        let held = Grant { actions: actions(&[Action::ExternalUpdate]), ..over(REP_ONE, 40, types) };
        Change::Grant(Grant { levels: Levels::of(&[(Layer::Basic, Level::Read)]), ..held })
    };
    let typed = |verbs: &[(&str, Action)], fields: &[(&str, Layer)]| ExternalType {
        actions: verbs.iter().map(|(name, verb)| ((*name).to_owned(), *verb)).collect(),
        fields: fields.iter().map(|(name, layer)| ((*name).to_owned(), *layer)).collect(),
        ..registered("contract")
    };
    let before = typed(&[("sign", Action::ExternalApprove)], &[("price", Layer::Financial), ("title", Layer::Basic)]);
    let snapshot = company_with(&[Change::ExternalType(before.clone()), update(None)]);
    let widens = |after: ExternalType, who| snapshot.widens(&Change::ExternalType(after), id(who));
    assert!(!widens(before.clone(), REP_ONE));
    let signs = typed(&[("sign", Action::ExternalUpdate)], &[]);
    assert!(widens(signs.clone(), REP_ONE) && !widens(signs, REP_TWO));
    let amends = typed(&[("sign", Action::ExternalApprove), ("amend", Action::ExternalUpdate)], &[]);
    assert!(widens(amends, REP_ONE), "a name that the type did not have");
    assert!(!widens(typed(&[("sign", Action::ExternalExport)], &[]), REP_ONE), "she holds neither verb");
    assert!(widens(typed(&[], &[("price", Layer::Basic)]), REP_ONE), "she comes to read prices");
    assert!(!widens(typed(&[], &[("title", Layer::Review)]), REP_ONE), "she reads titles no more");
    let fresh = |verbs| ExternalType { name: "invoice".into(), attributes: Vec::new(), ..typed(verbs, &[]) };
    assert!(!widens(fresh(&[]), REP_ONE), "of a type that is new there are no rows yet");
    assert!(widens(fresh(&[("amend", Action::ExternalUpdate)]), REP_ONE), "and no names");
}

#[test]
fn an_attribute_that_a_right_or_an_exception_of_a_guard_waits_for_widens_its_author() {
    use crate::Attribute::{Department, Flags, Owner, Stage, Teams};
    let of = |extent| Template { extent, ..right(&[Action::ExternalView], Extent::Own, Levels::READ) };
    let held = |template| Change::Grant(Grant::of(grant_id(40), id(REP_ONE), template, ALWAYS, Origin::Direct));
    let typed =
        |attributes: &[crate::Attribute]| ExternalType { attributes: attributes.to_vec(), ..registered("ticket") };
    let widens = |template: Template, guards: &[Change], before: &[crate::Attribute], after: &[crate::Attribute]| {
        let changes = [&[Change::ExternalType(typed(before)), held(template)], guards].concat();
        company_with(&changes).widens(&Change::ExternalType(typed(after)), id(REP_ONE))
    };
    assert!(widens(of(Extent::Own), &[], &[Stage], &[Stage, Owner]));
    assert!(!widens(of(Extent::Own), &[], &[Owner], &[Owner, Stage, Teams]), "nothing of his looks at them");
    assert!(!widens(of(Extent::Tenant), &[], &[], &[Owner, Stage, Department]), "he reached all rows before");
    let staged = Template { stages: Some(["draft"].into_iter().collect()), ..of(Extent::Own) };
    assert!(widens(staged.clone(), &[], &[Owner], &[Owner, Stage]));
    assert!(!widens(staged, &[], &[], &[Stage]), "it still waits for an owner");
    let pooled = of(Extent::Pooled(crate::Place::Mine, false));
    assert!(widens(pooled.clone(), &[], &[Department], &[Department, Flags]));
    assert!(!widens(pooled, &[], &[], &[Department]));
    let guard = |owner| {
        Change::Guard(crate::Guard {
            id: id(9),
            whom: crate::Whom::Everyone,
            except: crate::Exceptions { owner, ..crate::Exceptions::default() },
            actions: actions(&[Action::ExternalView]),
            condition: crate::RowCondition::default(),
            effect: crate::Effect::Deny,
            from: ALWAYS.0,
            until: ALWAYS.1,
            reason: String::new(),
        })
    };
    assert!(widens(of(Extent::Tenant), &[guard(true)], &[], &[Owner]), "the guard leaves out what he owns");
    assert!(!widens(of(Extent::Tenant), &[guard(false)], &[], &[Owner]));

    let newly = |template, attributes: &[crate::Attribute]| {
        company_with(&[held(template)]).widens(&Change::ExternalType(typed(attributes)), id(REP_ONE))
    };
    assert!(newly(of(Extent::Own), &[Owner]) && !newly(of(Extent::Own), &[Stage]));
    assert!(!newly(of(Extent::Tenant), &[Owner]), "of a type that is new there are no rows yet");
}

#[test]
fn a_guard_on_another_type_is_not_gone_when_a_type_is_registered() {
    let hidden = hidden_from(crate::Whom::Everyone);
    let held = Template { extent: Extent::Tenant, ..right(&[Action::ExternalView], Extent::Own, Levels::READ) };
    let held = Change::Grant(Grant::of(grant_id(40), id(REP_ONE), held, ALWAYS, Origin::Direct));
    let snapshot = company_with(&[Change::ExternalType(registered("contract")), held, hidden]);
    assert!(!snapshot.widens(&Change::ExternalType(registered("ticket")), id(REP_ONE)));
}
