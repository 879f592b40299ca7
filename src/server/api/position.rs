//! `GET /channels/NAME`: where a channel stands.
//!
//! For a page that the app renders: whoever subscribes with the position as
//! `since` misses nothing that is published from now on, however long the page
//! takes to load. A channel that is there is kept for as long as its history would
//! be. One that is not is not made by the question: then the position is the
//! server's own, which is good for any channel. Called by the router.

use serde_json::json;

use crate::base::time::Time;
use crate::hub::Whereabouts;
use crate::transport::contract::Problem;
use crate::wire::http::{Method, Request, Response};
use crate::wire::signature::Accept;
use crate::wire::url::decode_text;

use super::answer::{json_response, refusal};
use super::authorize::authorize;
use crate::server::connection::peer::Peer;
use crate::server::core::Core;

/// What comes before the channel's name: the whole rest of the path.
pub const PREFIX: &str = "/channels/";

/// The methods that it takes.
pub const ALLOWED: &str = "GET, HEAD, OPTIONS";

/// Answers `GET /channels/` and `name`, percent-encoded, to those who may publish.
pub fn position(
    core: &mut Core,
    now: Time,
    peer: Peer,
    request: &Request<'_>,
    name: &str,
) -> Response<'static> {
    if !matches!(request.method, Method::Get | Method::Head) {
        let sentence = "A channel's position is asked for with GET; POST /send publishes.";
        let problem = Problem::new(405, "method", sentence);
        return refusal(request, &problem).header("Allow", ALLOWED);
    }
    match find(core, now, peer, request, name) {
        Ok(response) => response.header("Cache-Control", "no-store"),
        Err(problem) => refusal(request, &problem),
    }
}

fn find(
    core: &mut Core,
    now: Time,
    peer: Peer,
    request: &Request<'_>,
    name: &str,
) -> Result<Response<'static>, Problem> {
    authorize(core, now, peer, request, None, Accept::Chloe1)?;
    let name = decode_text(name).ok_or_else(|| {
        Problem::new(
            400,
            "channel_name",
            "The channel's name is not percent-encoded UTF-8: encode it as encodeURIComponent does.",
        )
    })?;
    let value = match core.hub.head(now, &name)? {
        Whereabouts::Known(head) => json!({
            "ok": true,
            "channel": name,
            "position": head.position.to_string(),
            "epoch": head.position.epoch.to_string(),
            "offset": head.position.offset,
            "subscribers": head.readers,
        }),
        Whereabouts::Unknown(moment) => json!({
            "channel": name,
            "position": moment.to_string(),
        }),
    };
    Ok(json_response(200, &value))
}
