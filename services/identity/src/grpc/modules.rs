//! The calls of Access about modules.

use revisit_bootstrap::{Reply, authenticated, reply};
use revisit_core::Input;
use revisit_permission::{Action, Module};
use revisit_proto::identity::v1 as pb;
use tonic::Request;

use super::Served;
use crate::{
    domain::{Error, profile::read_reason},
    operations::modules::{self, Switch, Turn},
};

pub async fn list_modules(served: &Served, request: Request<pb::ListModulesRequest>) -> Reply<pb::ListModulesResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let mut input = Input::default();
            let department = input.id_optional("department_id", &message.department_id);
            input.finish()?;
            let switches = modules::list(&served.0, &who, department).await?;
            Ok::<_, Error>(pb::ListModulesResponse { modules: switches.into_iter().map(show).collect() })
        }
        .await,
    )
}

pub async fn switch_module(served: &Served, request: Request<pb::SwitchModuleRequest>) -> Reply<pb::Module> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let mut input = Input::default();
            let module = Module::parse(&message.name);
            input.require(module.is_some(), "name", "must be a module");
            let department = input.id_optional("department_id", &message.department_id);
            let reason = read_reason(&mut input, &message.reason);
            input.finish()?;
            let module = module.ok_or(Error::Refused { field: "name", rule: "must be a module" })?;
            let turn = if message.off { Turn::Off } else { Turn::On };
            let switched = modules::switch(&served.0, &who, (module, department), turn, reason).await?;
            Ok::<_, Error>(pb::Module { revision_token: switched.token, ..show(switched.value) })
        }
        .await,
    )
}

fn show(it: Switch) -> pb::Module {
    pb::Module {
        name: it.module.name().to_owned(),
        actions: it.module.actions().iter().map(|action: Action| action.name().to_owned()).collect(),
        department_id: it.department.map(|id| id.to_string()).unwrap_or_default(),
        off: it.off,
        off_in_effect: it.off_in_effect,
        revision_token: String::new(),
    }
}
