//! `revisit.customer.v1.Export`.

use std::sync::Arc;

use futures::TryStreamExt;
use revisit_bootstrap::{Reply, Streamed, authenticated, reply_stream};
use revisit_core::Input;
use revisit_permission::Shown;
use revisit_proto::customer::v1::{self as pb, export_server::Export};
use tonic::Request;

use super::{files::messages, show};
use crate::{
    App,
    domain::{
        Error,
        contact::ContactType,
        customer::{Customer, CustomerKind},
        sheet,
    },
    operations::{
        View,
        exports::{self, Chunk, Wish},
    },
};

pub struct Served(pub Arc<App>);

#[tonic::async_trait]
impl Export for Served {
    type ExportCustomersStream = Streamed<pb::FileChunk>;

    async fn export_customers(
        &self,
        request: Request<pb::ExportCustomersRequest>,
    ) -> Reply<Self::ExportCustomersStream> {
        let (who, message) = authenticated(request)?;
        let app = Arc::clone(&self.0);
        reply_stream(
            async {
                let mut input = Input::default();
                let reason = input.text("reason", &message.reason, 1..=500);
                input.finish()?;
                let wish = Wish { filter: message.filter, clear: message.clear_values, reason };
                let chunks = exports::export(app, who, wish).await?;
                Ok::<_, Error>(messages(chunks.map_ok(|chunk| (chunk.decided.clone(), lines(&chunk)))))
            }
            .await,
        )
    }
}

const EXPORTED: [&str; 18] = [
    "customer_id",
    "kind",
    "name",
    "phone",
    "wechat",
    "email",
    "company",
    "registration_code",
    "city",
    "source",
    "stage",
    "grade",
    "vip",
    "tags",
    "birthday",
    "contract_end",
    "owner_id",
    "external_id",
];

/// Where the name stands.
const NAME: usize = 2;

/// A chunk as CSV; the last column marks each row with the export and who took it.
fn lines(chunk: &Chunk) -> String {
    let mut text = String::new();
    if chunk.first {
        text.push('\u{FEFF}');
        let fields = chunk.fields.iter().map(|field| format!("fields.{}", field.key));
        let headers = EXPORTED.iter().map(|header| (*header).to_owned()).chain(fields).chain(["watermark".to_owned()]);
        text.push_str(&sheet::line(headers));
    }
    for view in &chunk.views {
        let mut cells = vec![String::new(); EXPORTED.len()];
        match view.basic() {
            Shown::Hidden => {}
            Shown::Masked(name) => cells[NAME] = name,
            Shown::Clear(customer) => cells = basic(customer),
        }
        cells[0] = view.id().to_string();
        for (place, kind) in (3..).zip(ContactType::ALL) {
            cells[place] = contacts(view, kind);
        }
        cells.extend(chunk.fields.iter().map(|field| show::field_text(view, field)));
        cells.push(chunk.mark.clone());
        text.push_str(&sheet::line(cells));
    }
    text
}

fn basic(customer: &Customer) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut cells = vec![String::new(); 8];
    cells[1] = match customer.kind {
        CustomerKind::Person => "person",
        CustomerKind::Company => "company",
    }
    .to_owned();
    cells[NAME].clone_from(&customer.name);
    cells.extend([
        text(&customer.city),
        text(&customer.source),
        customer.stage.clone(),
        text(&customer.grade),
        customer.vip.to_string(),
        customer.tags.join(";"),
        text(&customer.birthday),
        text(&customer.contract_end),
        customer.owner.map(|owner| owner.to_string()).unwrap_or_default(),
        text(&customer.external_id),
    ]);
    cells
}

fn contacts(view: &View, kind: ContactType) -> String {
    let points = view.contact_points().filter(|(point, _)| point.kind == kind);
    let values = points.filter_map(|(_, value)| match value {
        Shown::Hidden => None,
        Shown::Masked(masked) => Some(masked),
        Shown::Clear(clear) => Some(clear.normal_form.clone()),
    });
    values.collect::<Vec<_>>().join(";")
}
