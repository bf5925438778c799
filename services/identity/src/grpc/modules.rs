//! The calls of Access about modules.

use revisit_bootstrap::{Reply, authenticated, reply};
use revisit_core::Input;
use revisit_permission::Action;
use revisit_proto::identity::v1 as pb;
use tonic::Request;

use super::{Served, read};
use crate::{
    domain::Error,
    operations::modules::{self, Switch},
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
            let (what, turn, reason) = read::rights::switch_module(&message)?;
            let switched = modules::switch(&served.0, &who, what, turn, reason).await?;
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
