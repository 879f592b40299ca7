//! The moods of the app: what it does with a message, and what that decides.

use std::time::{Duration, UNIX_EPOCH};

use super::dice::Dice;
use super::network::SocketId;
use super::turn::World;

/// What the app does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    Take,
    TakeWithJson,
    /// Calls something JSON that is none.
    TakeWithNonsense,
    TakeInChunks,
    /// Says other things first.
    TakeAfterAll,
    TakeWithoutBody,
    TakeAndClose,
    /// Says that it closes, and does.
    TakeLast,
    /// Goes on talking behind the end.
    TakeAndTalk,
    Reject,
    SendElsewhere,
    Fail,
    FailForAWhile,
    /// Names a date; whose clock is right?
    FailUntil,
    TooMany,
    TimeOut,
    /// More than the webhook is willing to hold.
    Flood,
    Cut,
    Reset,
    CutInHead,
    CutInBody,
    ResetInBody,
    CutInChunk,
    Garble,
    /// Nobody is there any more, and nobody says so.
    Vanish,
    VanishInBody,
    Hang,
}

const PLANS: [Plan; 30] = [
    Plan::Take,
    Plan::Take,
    Plan::Take,
    Plan::TakeWithJson,
    Plan::TakeWithJson,
    Plan::TakeWithNonsense,
    Plan::TakeInChunks,
    Plan::TakeAfterAll,
    Plan::TakeWithoutBody,
    Plan::TakeAndClose,
    Plan::TakeLast,
    Plan::TakeAndTalk,
    Plan::Reject,
    Plan::SendElsewhere,
    Plan::Fail,
    Plan::FailForAWhile,
    Plan::FailUntil,
    Plan::TooMany,
    Plan::TimeOut,
    Plan::Flood,
    Plan::Cut,
    Plan::Reset,
    Plan::CutInHead,
    Plan::CutInBody,
    Plan::ResetInBody,
    Plan::CutInChunk,
    Plan::Garble,
    Plan::Vanish,
    Plan::VanishInBody,
    Plan::Hang,
];

/// A status line, as far as the status is certain.
const STATUS_BYTES: usize = "HTTP/1.1 200 ".len();

/// How it ends an upstream connection.
enum End {
    Not,
    Finish,
    Reset,
    Vanish,
}

impl Plan {
    pub fn any(dice: &mut Dice) -> Plan {
        dice.pick(&PLANS)
    }

    /// What it says, and which status decides; 0 decides nothing.
    fn answer(self, world: &World) -> (String, u16) {
        let head = |status: &str, rest: &str| format!("HTTP/1.1 {status}\r\n{rest}\r\n");
        let json = "Content-Type: application/json\r\nContent-Length: 7\r\n";
        let whole = head("200 OK", "Content-Length: 2\r\n") + "ok";
        let empty = |status, fields: &str| head(status, &format!("{fields}Content-Length: 0\r\n"));
        match self {
            Plan::Take | Plan::TakeAndClose | Plan::Hang => (whole, 200),
            Plan::TakeWithJson => (head("200 OK", json) + "{\"a\":1}", 200),
            Plan::TakeWithNonsense => (head("200 OK", json) + "{\"a\":1,", 200),
            Plan::TakeInChunks => {
                let chunked = head("201 Created", "Transfer-Encoding: chunked\r\n");
                (chunked + "2;x=y\r\nok\r\n1\r\n!\r\n0\r\n\r\n", 201)
            }
            Plan::TakeAfterAll => {
                let before = head("100 Continue", "") + &head("103 Early Hints", "Link: </a>\r\n");
                (before + &whole, 200)
            }
            Plan::TakeWithoutBody => (head("204 No Content", ""), 204),
            Plan::TakeLast => (head("200 OK", "Connection: close\r\n") + "the end", 200),
            Plan::TakeAndTalk => (whole + "HTTP/1.1 500 and another thing", 200),
            Plan::Reject => (empty("422 No", ""), 422),
            Plan::SendElsewhere => (empty("302 Found", "Location: /there\r\n"), 302),
            Plan::Fail => (empty("500 Oh", ""), 0),
            Plan::FailForAWhile => (empty("503 Busy", "Retry-After: 1\r\n"), 0),
            Plan::FailUntil => {
                let at = UNIX_EPOCH + Duration::from_millis(world.now.unix_ms + 2_000);
                let date = httpdate::fmt_http_date(at);
                (empty("503 Busy", &format!("Retry-After: {date}\r\n")), 0)
            }
            Plan::TooMany => (empty("429 Slowly", "Retry-After: soon\r\n"), 0),
            Plan::TimeOut => (empty("408 Late", "Connection: close\r\n"), 0),
            Plan::Flood => {
                let length = world.config.webhook_answer_bytes_max + 1;
                let fields = format!("Content-Length: {length}\r\n");
                (head("200 OK", &fields) + &"x".repeat(length), 200)
            }
            Plan::Cut | Plan::Reset | Plan::Vanish => (String::new(), 0),
            Plan::CutInHead => ("HTTP/1.1 2".to_owned(), 0),
            Plan::CutInBody | Plan::ResetInBody | Plan::VanishInBody => {
                (head("200 OK", json) + "{\"a\"", 200)
            }
            Plan::CutInChunk => {
                let chunked = head("200 OK", "Transfer-Encoding: chunked\r\n");
                (chunked + "2\r\nok\r\n7\r\n", 200)
            }
            Plan::Garble => ("220 mail.example ESMTP\r\n".to_owned(), 0),
        }
    }

    /// How much of the answer decides: where the rest is missing, the status does.
    fn decisive(self, answer: &str) -> usize {
        match self {
            Plan::CutInBody | Plan::ResetInBody | Plan::VanishInBody => STATUS_BYTES,
            Plan::CutInChunk | Plan::Flood | Plan::TakeAndTalk => STATUS_BYTES,
            _ => answer.len(),
        }
    }

    fn end(self) -> End {
        match self {
            Plan::TakeAndClose | Plan::TakeLast | Plan::TakeAndTalk => End::Finish,
            Plan::TimeOut | Plan::Flood => End::Finish,
            Plan::Cut | Plan::CutInHead | Plan::CutInBody | Plan::CutInChunk => End::Finish,
            Plan::Reset | Plan::ResetInBody => End::Reset,
            Plan::Vanish | Plan::VanishInBody => End::Vanish,
            _ => End::Not,
        }
    }
}

/// Answers, or fails to; false when the upstream connection is of no more use.
pub fn carry_out(world: &mut World, id: SocketId, text: &str, plan: Plan) -> bool {
    world.log(|| format!("app: {plan:?} {text:?}"));
    if !world.network.is_open(id) {
        world.ledger.fail(text, id);
        return false;
    }
    let (answer, decides) = plan.answer(world);
    let decided = world.network.sent(id) + plan.decisive(&answer) as u64;
    world.network.send(id, answer.as_bytes());
    let end = plan.end();
    match (decides, &end) {
        // The server cannot know yet that this attempt is over.
        (0, End::Vanish) => {}
        (0, _) => world.ledger.fail(text, id),
        (status, _) => world.ledger.answer(text, id, decided, status),
    }
    match end {
        End::Not => return true,
        End::Finish => world.network.finish(id),
        End::Reset => world.network.reset(id),
        End::Vanish => {
            let limit_ms = world.config.webhook_timeout_ms + 10_000;
            let dice = &mut world.dice;
            world.network.vanish(dice, id, limit_ms);
        }
    }
    false
}
