//! Configuration as a process takes it: layers, unknown keys, rules, redaction.

use revisit_bootstrap::{Process, config::Layers};
use revisit_core::Violation;
use revisit_tests::fake_identity::FakeIdentity;

use super::support::{layers, services};

fn process(change: impl FnOnce(&mut Layers)) -> Result<Process, Vec<Violation>> {
    let services = services(&FakeIdentity::new(), std::sync::mpsc::channel().0);
    let mut layers = layers(&services, "");
    change(&mut layers);
    Process::new("test", &services, layers).map_err(|failure| failure.violations)
}

fn fields(result: Result<Process, Vec<Violation>>) -> Vec<String> {
    result.err().unwrap_or_default().into_iter().map(|bad| bad.field).collect()
}

#[test]
fn a_file_overrides_the_manual_and_the_environment_overrides_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("revisit.toml");
    std::fs::write(&file, "[limits]\nconcurrency_max = 7\nmessage_bytes_max = 2048").expect("written");
    let process = process(|layers| {
        layers.add_file(&file).expect("TOML");
        let variable = ("REVISIT_LIMITS__CONCURRENCY_MAX".to_owned(), "9".to_owned());
        layers.add_variables([variable, ("PATH".to_owned(), "/bin".to_owned())]).expect("a number");
    });
    let limits = process.map_err(|bad| format!("{bad:?}")).expect("valid").settings.limits.clone();
    assert_eq!((limits.concurrency_max, limits.message_bytes_max, limits.deadline_millis_max), (9, 2048, 5_000));
}

#[test]
fn an_unknown_key_is_refused_wherever_it_stands() {
    for (toml, field) in [
        ("limits.concurency_max = 1", "limits.concurency_max"),
        ("followup.batch = 1", "followup"),
        ("customer.x = 1", "customer.x"),
        ("peers.billing = 'http://x:1'", "peers.billing"),
        ("callers.customer.tokn = 'x'", "callers.customer.tokn"),
    ] {
        assert_eq!(fields(process(|layers| layers.add("test", toml).expect("TOML"))), [field], "{toml}");
    }
    let variable = || [("REVISIT_LIMIT__CONCURRENCY_MAX".to_owned(), "1".to_owned())];
    assert_eq!(fields(process(|layers| layers.add_variables(variable()).expect("text"))), ["limit"]);
}

#[test]
fn every_broken_rule_is_told_with_its_key() {
    let toml = "limits.deadline_millis_max = 6000\ndatabase.url = 'postgres://a:b@c/d'\nlease.drift_millis = 0";
    let mut broken = fields(process(|layers| layers.add("test", toml).expect("TOML")));
    broken.sort();
    assert_eq!(broken, ["database.url", "lease.drift_millis", "limits.deadline_millis_max"]);
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("broken.toml");
    std::fs::write(&file, "[limits\n").expect("written");
    let mut layers = Layers::default();
    let failure = layers.add_file(&file).expect_err("it is broken");
    assert!(failure.violations[0].field.ends_with("broken.toml"), "{failure}");
    let failure = layers.add_file(&folder.path().join("none.toml")).expect_err("it is missing");
    assert!(failure.violations[0].rule.contains("cannot be read"), "{failure}");
}

#[test]
fn a_secret_comes_from_a_file_and_is_shown_to_nobody() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "hush-hush\n").expect("written");
    let toml = format!("callers.customer.token = 'file:{}'", file.display());
    let process = process(|layers| layers.add("test", &toml).expect("TOML"));
    let settings = process.map_err(|bad| format!("{bad:?}")).expect("valid").settings;
    assert_eq!(settings.callers["customer"].token.expose(), "hush-hush");
    let shown = format!("{settings:?}{}", serde_json::to_string(&*settings).expect("JSON"));
    assert!(!shown.contains("hush"), "{shown}");
}
