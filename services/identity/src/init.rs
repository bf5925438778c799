//! `identity init`: the operators, the first company, its administrator and the signing keys, once per database.

use revisit_bootstrap::{
    command::{Invocation, print},
    database::Database,
    settings::{DatabaseConfig, Settings},
};
use revisit_core::{Clock, Failure, Ids, Input};
use revisit_event::Outbox;
use revisit_permission::Worker;
use uuid::Uuid;

use crate::{
    Config, Migrator, NAME,
    domain::{
        Error,
        profile::{TIME_ZONE, read_email, read_tenant_key, read_username},
    },
    keys::Keys,
    operations::{
        book::Cause,
        tenants::{Draw, Founded, Founding, found},
    },
    store::{Store, keys, now},
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
        read_email(&mut input, field, text).unwrap_or_default()
    };
    let administrator_email = email("administrator_email", &first.administrator_email);
    let operator_email = email("operator_email", &first.operator_email);
    input.finish()?;
    let time_zone = TIME_ZONE.to_owned();
    let operators = Founding {
        key: OPERATORS.to_owned(),
        display_name: "Operators".to_owned(),
        username: OPERATOR.to_owned(),
        email: operator_email,
        time_zone: time_zone.clone(),
    };
    Ok((operators, Founding { key, display_name, username, email: administrator_email, time_zone }))
}

const USAGE: &str = "usage: identity init TENANT_KEY TENANT_NAME ADMINISTRATOR ADMINISTRATOR_EMAIL OPERATOR_EMAIL";

/// The subcommand: five words, each required, because nothing here has a safe default.
pub async fn command(mut invocation: Invocation) -> Result<(), Failure> {
    let config: Config = invocation.layers.take(NAME)?;
    let settings: Settings = invocation.layers.finish()?;
    settings.check()?;
    let [tenant_key, tenant_name, administrator, administrator_email, operator_email] =
        <[String; 5]>::try_from(invocation.arguments).map_err(|_| Failure::invalid_field("command line", USAGE))?;
    let first = First { tenant_key, tenant_name, administrator, administrator_email, operator_email };
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
