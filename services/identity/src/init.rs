//! `identity init`: the operators, the first company, its administrator and the signing keys, once per database.

use revisit_bootstrap::{
    command::{Invocation, print},
    database::Database,
    settings::{DatabaseConfig, Settings},
};
use revisit_core::{Clock, Failure, Ids, Input};
use revisit_event::Outbox;
use revisit_permission::{Address, SubjectState, Worker};
use uuid::Uuid;

use crate::{
    Config, Migrator, NAME,
    domain::{
        Error,
        log_in::{draw_secret, hash_secret},
        profile::{TIME_ZONE, read_email, read_region, read_tenant_key, read_username},
    },
    keys::Keys,
    operations::{
        audit::{self, Act, Actor},
        book::Cause,
        tenants::{Draw, Founded, Founding, found},
    },
    store::{Store, accounts, keys, now, organisation},
};

/// Key of the company of the operators, whom no other company knows.
pub const OPERATORS: &str = "operators";
/// Login name of the first operator.
pub const OPERATOR: &str = "operator";

/// The first company and its administrator.
#[derive(Clone, Debug)]
pub struct First {
    pub tenant_key: String,
    pub tenant_name: String,
    pub administrator: String,
    pub administrator_email: String,
    pub operator_email: String,
    /// Empty is the default.
    pub region: String,
}

/// What `init` made. The tokens set the passwords (Auth.SetPassword) and are shown this once.
pub struct Initialised {
    pub operator: Founded,
    pub tenant: Founded,
}

/// Whether `init` has run on this database.
pub async fn is_initialised(database: &DatabaseConfig, clock: Clock) -> Result<bool, Failure> {
    let database = Database::open(&database.of(NAME), clock).await?;
    database.migrate::<Migrator>().await?;
    let worker = Worker::declare("init");
    let authority = Store::new(database).read(&worker, async |tx| Ok(keys::authority(tx).await?)).await;
    Ok(authority.map_err(Failure::from)?.is_some())
}

/// A new one-time link of somebody who has not set a password yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirstLink {
    pub tenant_key: String,
    pub username: String,
    /// Sets the password (Auth.SetPassword); shown this once.
    pub password_token: String,
}

impl FirstLink {
    /// For the terminal.
    #[must_use]
    pub fn told(&self) -> String {
        format!("company {}: {}\n  {}\n", self.tenant_key, self.username, self.password_token)
    }
}

/// The companies that `init` makes: the operators and the first one. Ids grow, so they are the oldest.
const MADE_BY_INIT: u64 = 2;

/// New links for those whom `init` made and who have not set a password yet: what it printed may have been lost with
/// the process that printed it. Earlier links die. Who can call this can write the database, and so needs no link.
pub async fn new_first_links(
    config: &Config,
    database: &DatabaseConfig,
    (clock, ids): (Clock, Ids),
) -> Result<Vec<FirstLink>, Failure> {
    let outbox = Outbox::new(NAME, clock.clone(), ids.clone());
    let store = Store::new(Database::open(&database.of(NAME), clock).await?.with_outbox(outbox));
    let (worker, secrets) = (Worker::declare("init"), Ids::random());
    let renewed = store.write(&worker, async |tx| {
        keys::authority(tx).await?.ok_or(Error::NotInitialised)?;
        let until = now(tx).await? + config.password_link();
        let mut links = Vec::new();
        for tenant in organisation::tenants(tx, None, MADE_BY_INIT).await? {
            let found = accounts::by_id(tx, tenant.id, tenant.administrator).await?;
            let Some(kept) = found.filter(|kept| kept.account.state == SubjectState::Invited) else { continue };
            let password_token = draw_secret(&secrets);
            let link = accounts::NewLink { hash: hash_secret(&password_token), drawn_by: None, expires_at: until };
            accounts::set_link(tx, tenant.id, kept.account.id, link).await?;
            let act = Act::done(Actor::default(), "identity.init", "user", kept.account.id.uuid());
            audit::act_of(&ids, tx, tenant.id, act).await?;
            links.push(FirstLink { tenant_key: tenant.key, username: kept.account.username, password_token });
        }
        Ok(links)
    });
    Ok(renewed.await?)
}

/// Makes everything that the first log-in needs, or nothing. Refuses to run twice.
pub async fn init(
    config: &Config,
    database: &DatabaseConfig,
    (clock, ids): (Clock, Ids),
    first: &First,
) -> Result<Initialised, Failure> {
    config.check()?;
    let (operators, company) = read(first)?;
    let outbox = Outbox::new(NAME, clock.clone(), ids.clone());
    let database = Database::open(&database.of(NAME), clock).await?.with_outbox(outbox);
    database.migrate::<Migrator>().await?;
    let store = Store::new(database);
    let worker = Worker::declare("init");
    // Secrets never come from a source that repeats.
    let secrets = Ids::random();
    let made = store
        .write(&worker, async |tx| {
            let now = now(tx).await?;
            if keys::authority(tx).await?.is_some() {
                return Err(Error::AlreadyInitialised);
            }
            let draw = Draw { ids: &ids, secrets: &secrets, now, link_until: now + config.password_link() };
            let cause = Cause { action: "identity.init", ..Cause::default() };
            let operator = found(tx, &draw, &operators, &cause).await?;
            let tenant = found(tx, &draw, &company, &cause).await?;
            let incarnation = Uuid::from_bytes(secrets.bytes());
            keys::set_authority(tx, keys::Authority { incarnation, operator: operator.tenant.id }, now).await?;
            // The file last: a rolled-back `init` leaves at most a key that no database names.
            let (_, public) = Keys::create(&config.keys_folder, &secrets)?;
            keys::add(tx, &public, now).await?;
            Ok(Initialised { operator, tenant })
        })
        .await;
    Ok(made?)
}

fn read(first: &First) -> Result<(Founding, Founding), Failure> {
    let mut input = Input::default();
    let key = read_tenant_key(&mut input, "tenant_key", &first.tenant_key);
    input.require(key != OPERATORS, "tenant_key", "is the key of the operators");
    let display_name = input.text("tenant_name", &first.tenant_name, 1..=100);
    let username = read_username(&mut input, "administrator", &first.administrator);
    let mut email = |field: &str, text: &str| {
        input.require(!text.is_empty(), field, "is required");
        Address::mail(read_email(&mut input, field, text).unwrap_or_default())
    };
    let administrator_email = email("administrator_email", &first.administrator_email);
    let operator_email = email("operator_email", &first.operator_email);
    let region = read_region(&mut input, "region", &first.region);
    input.finish()?;
    let time_zone = TIME_ZONE.to_owned();
    let operators = Founding {
        key: OPERATORS.to_owned(),
        display_name: "Operators".to_owned(),
        username: OPERATOR.to_owned(),
        email: operator_email,
        time_zone: time_zone.clone(),
        region: region.clone(),
    };
    Ok((operators, Founding { key, display_name, username, email: administrator_email, time_zone, region }))
}

const USAGE: &str = "usage: identity init TENANT_KEY TENANT_NAME ADMINISTRATOR ADMINISTRATOR_EMAIL OPERATOR_EMAIL [REGION], or \
                     identity init --links for new one-time tokens when the first ones were lost unused";

/// The subcommand: five words, each required, because none has a safe default, and the country.
pub async fn command(mut invocation: Invocation) -> Result<(), Failure> {
    let config: Config = invocation.layers.take(NAME)?;
    let settings: Settings = invocation.layers.finish()?;
    settings.check()?;
    if invocation.arguments == ["--links"] {
        let links = new_first_links(&config, &settings.database, (Clock::system(), Ids::random())).await?;
        if links.is_empty() {
            return print("Everybody whom init made has set a password; there are no new links.\n");
        }
        return links.iter().try_for_each(|link| print(&link.told()));
    }
    if invocation.arguments.len() == 5 {
        invocation.arguments.push(String::new());
    }
    let [tenant_key, tenant_name, administrator, administrator_email, operator_email, region] =
        <[String; 6]>::try_from(invocation.arguments).map_err(|_| Failure::invalid_field("command line", USAGE))?;
    let first = First { tenant_key, tenant_name, administrator, administrator_email, operator_email, region };
    let made = init(&config, &settings.database, (Clock::system(), Ids::random()), &first).await?;
    print(&format!(
        "company {}: log in as {} after Auth.SetPassword with the one-time token\n  {}\noperators: log in to {OPERATORS} \
         as {OPERATOR} after Auth.SetPassword with the one-time token\n  {}\nBoth end after {} hours and are shown only \
         here.\n",
        made.tenant.tenant.key,
        first.administrator,
        made.tenant.password_token,
        made.operator.password_token,
        config.password_link_hours,
    ))
}
