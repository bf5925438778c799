//! What must be there before the first start: keys in files that only the owner reads, and the first log-ins.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{ErrorKind, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use revisit_bootstrap::{Process, Service, Settings, Shutdown, Sources, config::Layers};
use revisit_core::{Clock, Failure, Ids, ManualClock};
use serde::{Deserialize, Serialize};

use crate::Running;

/// The manual of this process's own keys.
pub const DEFAULTS: &str = include_str!("default.toml");
/// Section of the manual.
const SECTION: &str = "standalone";
/// Name of a key in the ring that is made here.
const LOCAL_KEY: &str = "local";

/// `[standalone]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct First {
    tenant_key: String,
    tenant_name: String,
    administrator: String,
    administrator_email: String,
    operator_email: String,
    region: String,
}

/// The log-ins that the first start made; each link sets a password once.
#[derive(Clone, Debug)]
pub struct FirstLogIns {
    /// Key of the first company.
    pub tenant: String,
    /// Log-in name of its administrator.
    pub administrator: String,
    /// The administrator's one-time token.
    pub administrator_link: String,
    /// Key of the operators' company.
    pub operators: String,
    /// Log-in name of the first operator.
    pub operator: String,
    /// The operator's one-time token.
    pub operator_link: String,
}

/// A configured process that has not started.
#[derive(Clone)]
pub struct Setup {
    layers: Layers,
    first: First,
    services: Vec<Service>,
}

/// The four services of the product, in the order in which they start: identity needs none of the others.
#[must_use]
pub fn services() -> Vec<Service> {
    vec![
        revisit_identity::service(),
        revisit_customer::service(),
        revisit_followup::service(),
        revisit_notification::service(),
    ]
}

impl Setup {
    /// From the layers of the command line.
    pub fn new(mut layers: Layers) -> Result<Self, Failure> {
        let first = layers.take(SECTION)?;
        Ok(Self { layers, first, services: services() })
    }

    /// From the manuals alone: for tests.
    pub fn from_manuals() -> Result<Self, Failure> {
        Self::new(Process::manuals(&services(), &[DEFAULTS])?)
    }

    /// Lays a TOML text over everything else.
    pub fn with(mut self, text: &str) -> Result<Self, Failure> {
        self.layers.add("the program", text)?;
        Ok(self)
    }

    /// Leaves out the services that are not named: for measurements of the others.
    pub fn only(mut self, names: &[&str]) -> Result<Self, Failure> {
        for left_out in self.services.iter().filter(|service| !names.contains(&service.name)) {
            let _: serde_json::Value = self.layers.take(left_out.name)?;
        }
        self.services.retain(|service| names.contains(&service.name));
        Ok(self)
    }

    /// Runs another service in the same process, behind the same layers: the floor of a measurement.
    #[must_use]
    pub fn beside(mut self, service: Service) -> Self {
        self.services.push(service);
        self
    }

    /// Names the first company.
    #[must_use]
    pub fn founding(mut self, key: &str, name: &str) -> Self {
        self.first.tenant_key = key.to_owned();
        self.first.tenant_name = name.to_owned();
        self
    }

    /// Puts databases and keys into a folder that will be thrown away, on a free port, with mail to a local sink. Waits
    /// and leases are long: what is tried there runs beside much else, and is not the bound on revocation.
    pub fn throw_away(self, folder: &Path, sink: SocketAddr) -> Result<Self, Failure> {
        let folder = folder.display();
        self.with(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndrain_seconds_max = 2\n\
             [database]\nurl = \"sqlite:{folder}/{{service}}.sqlite\"\ndurable = false\nacquire_millis_max = 20000\n\
             [identity]\nkeys_folder = \"{folder}/keys\"\nlease_ttl_millis = 10000\n\
             [notification.mail]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
             [notification.outbound]\nallow = [\"127.0.0.0/8\"]\n",
            port = sink.port()
        ))
    }

    /// The layers, with this process's own section taken out and keys in place: what a [`Process`] is made from.
    pub fn layers(mut self) -> Result<Layers, Failure> {
        self.make_keys()?;
        Ok(self.layers)
    }

    /// The layers with this process's own section taken out; nothing is made.
    #[must_use]
    pub fn without_own(self) -> Layers {
        self.layers
    }

    /// Starts all four services; makes keys and first log-ins when there are none.
    pub async fn start(mut self, manual: Option<ManualClock>, shutdown: Shutdown) -> Result<Running, Failure> {
        let folder = self.make_keys()?;
        let clock = manual.as_ref().map_or_else(Clock::system, ManualClock::clock);
        let config: revisit_identity::Config = self.layers.clone().take(revisit_identity::NAME)?;
        let process = Process::new("standalone", &self.services, self.layers)?;
        let log_ins = first_log_ins(&config, &process.settings, &clock, &self.first).await?;
        let renewed = match log_ins {
            // They are told with the log-ins themselves.
            Some(_) => Vec::new(),
            None => {
                let sources = (clock.clone(), Ids::random());
                revisit_identity::new_first_links(&config, &process.settings.database, sources).await?
            }
        };
        tracing::debug!(folder = %folder.display(), "keys are in place");
        let running = process.start(Sources { clock, ids: Ids::random() }, shutdown).await?;
        Running::new(running, manual, (log_ins, renewed))
    }

    /// Makes the key rings of sealed values and blind indexes unless the configuration names its own.
    fn make_keys(&mut self) -> Result<PathBuf, Failure> {
        let config: revisit_identity::Config = self.layers.clone().take(revisit_identity::NAME)?;
        let mut rest = self.layers.clone();
        for service in &self.services {
            let _: serde_json::Value = rest.take(service.name)?;
        }
        let settings: Settings = rest.finish()?;
        let rings = [
            ("keys", "current", settings.seal.current.is_empty()),
            ("index_keys", "index_current", settings.seal.index_current.is_empty()),
        ];
        for (ring, current, _) in rings.into_iter().filter(|(_, _, missing)| *missing) {
            let path = key_file(&config.keys_folder, ring)?;
            let path = path.to_str().ok_or_else(|| Failure::invalid_field("identity.keys_folder", "must be UTF-8"))?;
            let text = format!("[seal]\n{current} = \"{LOCAL_KEY}\"\n{ring}.{LOCAL_KEY} = \"file:{path}\"\n");
            self.layers.add("the key files", &text)?;
        }
        Ok(config.keys_folder)
    }
}

/// The file of a key; drawn when it is missing.
fn key_file(folder: &Path, ring: &str) -> Result<PathBuf, Failure> {
    let path = folder.join(format!("seal-{ring}.key"));
    if path.exists() {
        return Ok(path);
    }
    let unwritable = |error: std::io::Error| Failure::internal(error).with("keys_folder", folder.display().to_string());
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritable)?;
    // Whole before it has its name: a start that found half a key would seal under nothing. A link, unlike a rename,
    // leaves the key of another first start in place.
    let draft = path.with_extension(random_name());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).map_err(unwritable)?;
    file.write_all(STANDARD.encode(Ids::random().bytes::<32>()).as_bytes()).map_err(unwritable)?;
    // What is sealed under a key that a crash has lost stays sealed.
    file.sync_all().map_err(unwritable)?;
    match fs::hard_link(&draft, &path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        linked => linked.map_err(unwritable)?,
    }
    fs::remove_file(&draft).map_err(unwritable)?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritable)?;
    Ok(path)
}

async fn first_log_ins(
    config: &revisit_identity::Config,
    settings: &Settings,
    clock: &Clock,
    first: &First,
) -> Result<Option<FirstLogIns>, Failure> {
    if revisit_identity::is_initialised(&settings.database, clock.clone()).await? {
        return Ok(None);
    }
    let founded = revisit_identity::First {
        tenant_key: first.tenant_key.clone(),
        tenant_name: first.tenant_name.clone(),
        administrator: first.administrator.clone(),
        administrator_email: first.administrator_email.clone(),
        operator_email: first.operator_email.clone(),
        region: first.region.clone(),
    };
    let made = revisit_identity::init(config, &settings.database, (clock.clone(), Ids::random()), &founded).await?;
    Ok(Some(FirstLogIns {
        tenant: first.tenant_key.clone(),
        administrator: first.administrator.clone(),
        administrator_link: made.tenant.password_token,
        operators: revisit_identity::OPERATORS.to_owned(),
        operator: revisit_identity::OPERATOR.to_owned(),
        operator_link: made.operator.password_token,
    }))
}

fn random_name() -> String {
    Ids::random().bytes::<8>().map(|byte| format!("{byte:02x}")).concat()
}

/// A folder that is removed when it is dropped.
pub struct ScratchFolder(PathBuf);

impl ScratchFolder {
    /// Makes one below the system's folder for such.
    pub fn make() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("revisit-{}", random_name()));
        DirBuilder::new().mode(0o700).create(&path).map_err(Failure::internal)?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own cleaning of that place.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_drawn_once_into_a_file_that_only_the_owner_reads() {
        let folder = ScratchFolder::make().expect("a folder");
        let path = key_file(folder.path(), "keys").expect("it is drawn");
        let key = fs::read(&path).expect("it is there");
        assert_eq!(STANDARD.decode(&key).expect("base64").len(), 32);
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read(key_file(folder.path(), "keys").expect("it is found")).expect("it is there"), key);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "no draft is left");
    }
}
