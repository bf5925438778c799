//! Stages: which a tenant declares, and which way a customer may move between them.

use std::collections::BTreeSet;

use revisit_core::Input;
use revisit_permission::STAGES;

use super::field::is_key;

/// Stages of one tenant at the most.
pub const STAGES_MAX: usize = 30;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stage {
    pub name: String,
    pub title: String,
    /// Where a customer may move to from here.
    pub next: Vec<String>,
    /// Whether customers in it are worked on, so that each needs an owner.
    pub active: bool,
}

/// All stages in order; the first is where customers start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scheme {
    pub stages: Vec<Stage>,
    /// 0 for the shipped scheme of a tenant that has declared none.
    pub version: i64,
}

impl Scheme {
    /// What every tenant has until it declares its own. The names are those that shipped roles know.
    pub fn shipped() -> Self {
        let stage = |name: &str| {
            let (title, next): (&str, &[&str]) = match name {
                "lead" => ("线索", &["contacted", "qualified", "churned"]),
                "contacted" => ("已联系", &["qualified", "churned"]),
                "qualified" => ("已确认需求", &["negotiating", "churned"]),
                "negotiating" => ("谈判中", &["won", "qualified", "churned"]),
                "won" => ("已成交", &["service", "churned"]),
                "service" => ("售后服务", &["negotiating", "churned"]),
                _ => ("已流失", &["lead"]),
            };
            Stage {
                name: name.to_owned(),
                title: title.to_owned(),
                next: next.iter().map(|next| (*next).to_owned()).collect(),
                active: name != "churned",
            }
        };
        Self { stages: STAGES.iter().map(|name| stage(name)).collect(), version: 0 }
    }

    pub fn initial(&self) -> &str {
        self.stages.first().map_or("", |stage| stage.name.as_str())
    }

    pub fn find(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Whether the move is declared. Staying is no move and always allowed.
    pub fn allows(&self, from: &str, to: &str) -> bool {
        from == to || self.find(from).is_some_and(|stage| stage.next.iter().any(|next| next == to))
    }

    /// Notes what is wrong with a scheme that somebody declares.
    pub fn check(&self, input: &mut Input) {
        input.require((1..=STAGES_MAX).contains(&self.stages.len()), "scheme.stages", "must have 1 to 30 entries");
        let mut names = BTreeSet::new();
        for (index, stage) in self.stages.iter().enumerate() {
            let path = format!("scheme.stages[{index}]");
            input.require(
                is_key(&stage.name),
                &format!("{path}.name"),
                "must be a lower-case word of at most 40 letters",
            );
            input.require(names.insert(&stage.name), &format!("{path}.name"), "is declared twice");
            for (to, next) in stage.next.iter().enumerate() {
                let known = self.find(next).is_some();
                input.require(known, &format!("{path}.next[{to}]"), "is not among the stages");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_scheme_is_sound_and_knows_every_stage_of_the_shipped_roles() {
        let mut input = Input::default();
        let scheme = Scheme::shipped();
        scheme.check(&mut input);
        assert!(input.violations().is_empty(), "{:?}", input.violations());
        assert!(STAGES.iter().all(|name| scheme.find(name).is_some()));
    }

    #[test]
    fn a_customer_moves_only_where_the_scheme_says() {
        let scheme = Scheme::shipped();
        assert!(scheme.allows("won", "service"));
        assert!(!scheme.allows("lead", "won"));
        assert!(scheme.allows("lead", "lead"));
        assert!(!scheme.allows("no_such_stage", "lead"));
    }
}
