//! A service as a process sees it: a name, a manual, and two functions.

use std::{future::Future, pin::Pin, sync::Arc};

use revisit_core::Failure;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    config::Layers,
    runtime::{Runtime, Started},
};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Prepare = dyn Fn(&mut Layers) -> Result<Prepared, Failure> + Send + Sync;

/// A service that a process can run. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    /// Its name, which is also its section of the configuration.
    pub name: &'static str,
    /// Its manual: TOML with the section `[name]`.
    pub defaults: &'static str,
    prepare: Arc<Prepare>,
}

/// A service with its configuration.
pub struct Prepared {
    /// Its name.
    pub name: &'static str,
    /// Its section, secrets redacted.
    pub shown: toml::Value,
    pub(crate) start: Box<dyn FnOnce(Runtime) -> Boxed<Result<Started, Failure>> + Send>,
    pub(crate) migrate: Box<dyn FnOnce(Runtime) -> Boxed<Result<(), Failure>> + Send>,
}

impl Service {
    /// Names a service and its `start` and `migrate`.
    pub fn new<C, S, M>(
        name: &'static str,
        defaults: &'static str,
        start: impl Fn(C, Runtime) -> S + Clone + Send + Sync + 'static,
        migrate: impl Fn(C, Runtime) -> M + Clone + Send + Sync + 'static,
    ) -> Self
    where
        C: DeserializeOwned + Serialize + Clone + Send + 'static,
        S: Future<Output = Result<Started, Failure>> + Send + 'static,
        M: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let prepare = move |layers: &mut Layers| {
            let config: C = layers.take(name)?;
            let shown = toml::Value::try_from(&config).map_err(Failure::internal)?;
            let (start, migrate, other) = (start.clone(), migrate.clone(), config.clone());
            Ok(Prepared {
                name,
                shown,
                start: Box::new(move |runtime| Box::pin(start(config, runtime))),
                migrate: Box::new(move |runtime| Box::pin(migrate(other, runtime))),
            })
        };
        Self { name, defaults, prepare: Arc::new(prepare) }
    }

    pub(crate) fn prepare(&self, layers: &mut Layers) -> Result<Prepared, Failure> {
        (self.prepare)(layers)
    }
}
