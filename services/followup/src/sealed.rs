//! The free text of a task, sealed under the key of its customer: titles, reasons, notes. Destroying that key erases it.

use std::collections::BTreeSet;

use revisit_bootstrap::{
    Sealer, Tx,
    seal::{Keys, Place},
};
use revisit_core::Failure;
use revisit_permission::{Layer, Veiled};
use uuid::Uuid;

use crate::domain::{plan::Reason, task::Task};

/// Seals and opens what belongs to a task. Cheap to clone.
#[derive(Clone)]
pub struct Sealed(Sealer);

impl Sealed {
    pub fn new(sealer: Sealer) -> Self {
        Self(sealer)
    }

    /// A text of a task for one of its places. Nothing stays nothing.
    pub async fn seal(&self, tx: &Tx, task: &Task, column: &'static str, text: &str) -> Result<Vec<u8>, Failure> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        // A task without a customer has a key of its own.
        self.0.seal(tx, (task.tenant, task.shard_key()), place(task, column), text.as_bytes()).await
    }

    /// A text of a task, of a layer; empty when there is none or its key was destroyed.
    pub async fn open(
        &self,
        tx: &Tx,
        task: &Task,
        layer: Layer,
        (column, sealed): (&'static str, &[u8]),
    ) -> Result<Veiled<String>, Failure> {
        if sealed.is_empty() {
            return Ok(veiled(layer, None));
        }
        let opened = self.0.open(tx, (task.tenant, task.shard_key()), place(task, column), sealed).await?;
        Ok(veiled(layer, opened.as_ref().map(|plain| plain.as_slice())))
    }

    /// What opens the titles and reasons of a page of one company's tasks: their keys are read together, because a
    /// look at the table for each of them would cost more than everything else about the page.
    pub async fn texts<'a>(&self, tx: &Tx, tasks: impl IntoIterator<Item = &'a Task>) -> Result<Texts, Failure> {
        let sealed = tasks.into_iter().filter(|task| !task.title.is_empty() || !task.reason_text.is_empty());
        let mut owners: BTreeSet<Uuid> = BTreeSet::new();
        let mut tenant = None;
        for task in sealed {
            tenant = Some(task.tenant);
            owners.insert(task.shard_key());
        }
        let Some(tenant) = tenant else { return Ok(Texts(None)) };
        Ok(Texts(Some(self.0.keys(tx, tenant, &owners.into_iter().collect::<Vec<_>>()).await?)))
    }

    /// A task with what somebody said about a change of it.
    pub async fn explain(&self, tx: &Tx, mut task: Task, reason: &str) -> Result<Task, Failure> {
        if !reason.is_empty() {
            task.reason = Reason::Caller;
        }
        task.reason_text = self.seal(tx, &task, "reason_text", reason).await?;
        Ok(task)
    }
}

/// Opens texts of the tasks that it was made for.
pub struct Texts(Option<Keys>);

impl Texts {
    /// A title or a reason, which belong to the task's basic layer; empty when there is none or its key was destroyed.
    pub fn open(&self, task: &Task, column: &'static str, sealed: &[u8]) -> Result<Veiled<String>, Failure> {
        let (Some(keys), false) = (&self.0, sealed.is_empty()) else { return Ok(veiled(Layer::Basic, None)) };
        let opened = keys.open(task.shard_key(), place(task, column), sealed)?;
        Ok(veiled(Layer::Basic, opened.as_ref().map(|plain| plain.as_slice())))
    }
}

fn veiled(layer: Layer, opened: Option<&[u8]>) -> Veiled<String> {
    Veiled::new(layer, opened.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default())
}

fn place(task: &Task, column: &'static str) -> Place {
    Place { table: "task", row: task.id.uuid(), column }
}
