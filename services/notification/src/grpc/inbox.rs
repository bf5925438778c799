//! The calls of `Inbox`.

use futures::StreamExt;
use revisit_bootstrap::{Reply, Streamed, authenticated, reply, reply_stream};
use revisit_proto::notification::v1::{self as pb, inbox_server::Inbox};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;

use super::{Served, read, show};
use crate::{domain::Error, operations::inbox};

#[tonic::async_trait]
impl Inbox for Served {
    async fn list_messages(&self, request: Request<pb::ListMessagesRequest>) -> Reply<pb::ListMessagesResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let page = read::list_messages(&message)?;
                let (rows, next_page_token) = inbox::list(&self.app, &who, message.unread_only, page).await?;
                let messages = rows.into_iter().map(show::message).collect();
                Ok::<_, Error>(pb::ListMessagesResponse { messages, next_page_token })
            }
            .await,
        )
    }

    async fn get_unread_count(&self, request: Request<pb::GetUnreadCountRequest>) -> Reply<pb::UnreadCount> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let pb::GetUnreadCountRequest {} = message;
                Ok::<_, Error>(pb::UnreadCount { unread_count: inbox::unread(&self.app, &who).await? })
            }
            .await,
        )
    }

    async fn mark_read(&self, request: Request<pb::MarkReadRequest>) -> Reply<pb::UnreadCount> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let ids = read::mark_read(&message)?;
                Ok::<_, Error>(pb::UnreadCount { unread_count: inbox::mark_read(&self.app, &who, ids).await? })
            }
            .await,
        )
    }

    type WatchMessagesStream = Streamed<pb::Message>;

    async fn watch_messages(&self, request: Request<pb::WatchMessagesRequest>) -> Reply<Self::WatchMessagesStream> {
        let (who, message) = authenticated(request)?;
        let watched = read::watch(&message).map_err(Error::from).and_then(|after| inbox::watch(&self.app, who, after));
        reply_stream(watched.map(|messages| ReceiverStream::new(messages).map(|one| one.map(show::message))))
    }
}
