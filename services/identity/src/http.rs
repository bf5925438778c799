//! The OpenID AuthZEN Authorization API 1.0 over HTTP, on a listener of its own: the same questions as those of Access, for
//! who speaks no gRPC. Whoever asks is bounded in body, time and number; TLS ends in front of it.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::{get, post},
};
use http::{HeaderName, StatusCode, Uri};
use revisit_bootstrap::{Denials, Runtime, Started, Work, auth::Verifier, shares::Counts};
use revisit_core::Failure;
use tokio::{net::TcpListener, sync::Semaphore};
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};

use crate::{App, config::Authzen};

mod answer;
mod body;
mod evaluate;
mod search;
mod wire;

/// Paths of the standard. Discovery stands between the host and the path of the URL under which clients know us.
const DISCOVERY: &str = "/.well-known/authzen-configuration";
const DISCOVERY_BELOW: &str = "/.well-known/authzen-configuration/{*path}";
const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";
const SEARCH_SUBJECT: &str = "/access/v1/search/subject";
const SEARCH_RESOURCE: &str = "/access/v1/search/resource";
const SEARCH_ACTION: &str = "/access/v1/search/action";

const KIBIBYTES_OF_MEBIBYTE: usize = 1_024;

/// What every request is answered with.
#[derive(Clone)]
struct Desk {
    app: Arc<App>,
    verifier: Verifier,
    /// Where refusals are written before they are answered.
    denials: Option<Denials>,
    room: Arc<Semaphore>,
    /// Kibibytes of bodies, of all requests together.
    bodies: Arc<Semaphore>,
    /// What each subject has at once, from the first byte of a request on.
    calls: Arc<Counts>,
    /// In which a trusted balancer names the client's address.
    address_header: Option<HeaderName>,
    config: Authzen,
}

/// Serves the standard when the configuration says where.
pub async fn serve(started: Started, app: &Arc<App>, runtime: &Runtime) -> Result<Started, Failure> {
    let config = app.config.authzen.clone();
    let Some(address) = config.address() else { return Ok(started) };
    let listener = TcpListener::bind(address).await.map_err(|fault| {
        Failure::unavailable("PORT_TAKEN", format!("identity.authzen.listen: {address} cannot be bound"))
            .caused_by(fault)
    })?;
    let desk = Desk {
        app: Arc::clone(app),
        verifier: runtime.verifier.clone(),
        denials: started.denials(),
        room: Arc::new(Semaphore::new(config.concurrency_max)),
        bodies: Arc::new(Semaphore::new(config.bodies_mebibytes_max * KIBIBYTES_OF_MEBIBYTE)),
        calls: Arc::default(),
        address_header: runtime.settings.server.trusted_header()?,
        config,
    };
    let router = Router::new()
        .route(DISCOVERY, get(discovery))
        .route(DISCOVERY_BELOW, get(discovery))
        .route(EVALUATION, post(evaluation))
        .route(EVALUATIONS, post(evaluations))
        .route(SEARCH_SUBJECT, post(subject_search))
        .route(SEARCH_RESOURCE, post(resource_search))
        .route(SEARCH_ACTION, post(action_search))
        .with_state(desk);
    let shutdown = runtime.shutdown.clone();
    let serving = async move {
        let server = Server::builder().accept_http1(true).add_routes(Routes::from(router));
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let served = server.serve_with_incoming_shutdown(incoming, async move { shutdown.draining().await });
        if let Err(fault) = served.await {
            tracing::warn!(%fault, "the AuthZEN listener has ended");
        }
    };
    Ok(started.work(Work::new("authzen", serving)))
}

async fn discovery(State(desk): State<Desk>, asked: Uri) -> Response {
    // Under another path somebody else would be described, and a client must not believe that.
    if asked.path().strip_prefix(DISCOVERY) != Some(desk.config.path()) {
        return answer::json(StatusCode::NOT_FOUND, &"there is no such decision point".into());
    }
    let at = |path: &str| format!("{}{path}", desk.config.url);
    let metadata = serde_json::json!({
        "policy_decision_point": desk.config.url,
        "access_evaluation_endpoint": at(EVALUATION),
        "access_evaluations_endpoint": at(EVALUATIONS),
        "search_subject_endpoint": at(SEARCH_SUBJECT),
        "search_resource_endpoint": at(SEARCH_RESOURCE),
        "search_action_endpoint": at(SEARCH_ACTION),
    });
    answer::json(StatusCode::OK, &metadata)
}

async fn evaluation(State(desk): State<Desk>, request: Request) -> Response {
    answer::asked(desk, request, evaluate::one).await
}

async fn evaluations(State(desk): State<Desk>, request: Request) -> Response {
    answer::asked(desk, request, evaluate::several).await
}

async fn subject_search(State(desk): State<Desk>, request: Request) -> Response {
    answer::asked(desk, request, search::subjects).await
}

async fn resource_search(State(desk): State<Desk>, request: Request) -> Response {
    answer::asked(desk, request, search::resources).await
}

async fn action_search(State(desk): State<Desk>, request: Request) -> Response {
    answer::asked(desk, request, search::actions).await
}
