//! Owns what an SMPP gateway's code for a hand-over or a bind means, as one table.
//!
//! Invariant: an answer with a code other than 0 says that the message was not taken, so that none of them leaves doubt.
//!
//! Source: SMPP 3.4, 5.1.3 (command_status).

use rusmpp::CommandStatus as Code;

use super::super::{HandOverError, Reason};

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// This recipient or text.
    Recipient,
    /// Our account or settings.
    Account,
    /// Our pace.
    Slower,
    /// The gateway itself.
    Again,
}

/// Codes that stand in no line, those of vendors (0x400 and above) among them, are the gateway's own trouble: the delivery is
/// tried again, and a series of them hands over to the next gateway on the route. Nobody is given up for a code nobody knows.
const CODES: &[(&[Code], Class, &str)] = &[
    (
        &[
            Code::EsmeRinvdstadr,
            Code::EsmeRinvdstton,
            Code::EsmeRinvdstnpi,
            Code::EsmeRinvdstaddrsubunit,
            Code::EsmeRinvnumdests,
            Code::EsmeRinvdestflag,
        ],
        Class::Recipient,
        "gateway.number_invalid",
    ),
    (&[Code::EsmeRinvmsglen], Class::Recipient, "gateway.text_too_long"),
    (&[Code::EsmeRthrottled, Code::EsmeRmsgqful], Class::Slower, "gateway.throttled"),
    (
        &[Code::EsmeRbindfail, Code::EsmeRinvpaswd, Code::EsmeRinvsysid, Code::EsmeRinvsystyp],
        Class::Account,
        "gateway.unauthorized",
    ),
    (
        &[Code::EsmeRinvsrcadr, Code::EsmeRinvsrcton, Code::EsmeRinvsrcnpi, Code::EsmeRinvsrcaddrsubunit],
        Class::Account,
        "gateway.sender_refused",
    ),
    (
        &[
            Code::EsmeRprohibited,
            Code::EsmeRsertypunauth,
            Code::EsmeRsertypdenied,
            Code::EsmeRinvsertyp,
            Code::EsmeRinvesmclass,
            Code::EsmeRinvregdlvflg,
            Code::EsmeRinvexpiry,
            Code::EsmeRinvdcs,
            Code::EsmeRinvcmdlen,
            Code::EsmeRinvcmdid,
            Code::EsmeRinvprtflg,
        ],
        Class::Account,
        "gateway.request_refused",
    ),
    (&[Code::EsmeRinvbndsts, Code::EsmeRalybnd], Class::Again, "gateway.not_bound"),
];

/// What a refused hand-over means.
pub(super) fn refusal(code: Code) -> HandOverError {
    let (class, reason) = look_up(code);
    let reason = Reason::with_detail(reason, &words(code));
    match class {
        Class::Recipient => HandOverError::Rejected { reason },
        Class::Account => HandOverError::Misconfigured { reason },
        Class::Slower => HandOverError::Throttled { after: None, reason },
        Class::Again => HandOverError::Retry { after: None, reason, provider_down: true },
    }
}

fn look_up(code: Code) -> (Class, &'static str) {
    let known = CODES.iter().find(|(codes, ..)| codes.contains(&code));
    known.map_or((Class::Again, "gateway.failed"), |(_, class, reason)| (*class, *reason))
}

/// The code by name and number; a gateway sends no words of its own.
fn words(code: Code) -> String {
    let number = u32::from(code);
    match code {
        Code::Other(_) => format!("0x{number:08x}"),
        known => format!("{known:?} 0x{number:08x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_says_whose_fault_it_is() {
        let table = [
            (0x0b, "rejected: gateway.number_invalid"),
            (0x01, "rejected: gateway.text_too_long"),
            (0x58, "too fast: gateway.throttled"),
            (0x14, "too fast: gateway.throttled"),
            (0x0a, "account or settings: gateway.sender_refused"),
            (0x0d, "account or settings: gateway.unauthorized"),
            (0x0e, "account or settings: gateway.unauthorized"),
            (0x0f, "account or settings: gateway.unauthorized"),
            (0x08, "not taken, try again: gateway.failed"),
            (0x45, "not taken, try again: gateway.failed"),
            (0x04, "not taken, try again: gateway.not_bound"),
            (0x0400, "not taken, try again: gateway.failed"),
        ];
        for (code, expected) in table {
            assert_eq!(refusal(Code::from(code)).to_string(), expected, "0x{code:x}");
        }
        assert_eq!(refusal(Code::from(0x0b)).reason().detail.as_deref(), Some("EsmeRinvdstadr 0x0000000b"));
    }
}
