//! What an HTTP status of the ACS means for the session.

use ipc_proto::worker::{Failure, Stage};

use super::{Cx, Response};
use crate::{
    rpc::Message,
    soap::{self, Envelope},
};

/// What the ACS said.
#[derive(Debug)]
pub enum Heard {
    /// Nothing: 204, or 200 without a body (HTTP-08).
    Nothing,
    /// A message.
    Envelope(Envelope),
}

/// Reads an answer, or says why the session has failed.
pub fn read(cx: &Cx, response: &Response) -> Result<Heard, Failure> {
    match response.status {
        204 => Ok(Heard::Nothing),
        200 if response.body.iter().all(u8::is_ascii_whitespace) => Ok(Heard::Nothing),
        200 => soap::read(&response.body, cx.lenient)
            .map(Heard::Envelope)
            .map_err(|e| failure(Stage::Soap, format!("the ACS's message cannot be read: {e}"))),
        500 => fault_of(cx, response),
        // A 401 and a redirect are followed where the connection is, and never come this far.
        401 | 407 => {
            let challenge = response.challenge.as_deref().map(|c| format!(" ({c})")).unwrap_or_default();
            let reason = format!(
                "a proxy asks for a login{challenge}, which is not supported: let the device reach the ACS directly"
            );
            Err(failure(Stage::Auth, reason))
        }
        _ => Err(unexpected(cx, response.status)),
    }
}

/// A 500 with a SOAP fault is that fault (HTTP-22); any other is a broken ACS.
fn fault_of(cx: &Cx, response: &Response) -> Result<Heard, Failure> {
    match soap::read(&response.body, cx.lenient) {
        Ok(envelope) if matches!(Message::decode(&envelope.body), Message::Fault(_)) => {
            Ok(Heard::Envelope(envelope))
        }
        _ => Err(unexpected(cx, response.status)),
    }
}

fn unexpected(cx: &Cx, status: u16) -> Failure {
    let (name, hint) = match status {
        303 => (" See Other", "a POST cannot follow that: check cwmp.acs_url"),
        400 => (" Bad Request", "it does not take what cwmpd sends: look at its log"),
        403 => (" Forbidden", "ask its operator whether this device may connect"),
        404 => (" Not Found", "check the path of cwmp.acs_url"),
        405 => (" Method Not Allowed", "check the path of cwmp.acs_url"),
        500 => (" Internal Server Error", "look at its log"),
        502 => (" Bad Gateway", "the ACS behind its proxy is not there"),
        503 => (" Service Unavailable", "it is overloaded or stopped; it will be tried again"),
        504 => (" Gateway Timeout", "the ACS behind its proxy does not answer"),
        _ => ("", "check cwmp.acs_url, and look at the ACS's log"),
    };
    // A 403 is said to whom the ACS knows and does not want.
    let stage = if status == 403 { Stage::Auth } else { Stage::Http };
    failure(stage, format!("the ACS answered {status}{name} to POST {}: {hint}", cx.target))
}

fn failure(stage: Stage, reason: String) -> Failure {
    Failure { stage, reason }
}
