//! One line of words: asked, answered, printed; a followed log is taken up again when the supervisor returns.

use std::{
    io::{self, IsTerminal as _, Write as _},
    ops::ControlFlow,
    path::Path,
    time::Duration,
};

use ipc_proto::control::{LogLine, Request, Response};

use super::{
    args::Words,
    client::{self, ClientError},
    page::Page,
    render,
};

/// Exit status: it is done.
pub const DONE: u8 = 0;
const REFUSED: u8 = 1;
/// Exit status: wrong words.
pub const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
/// Between two attempts to reach a supervisor that is gone, while a log is followed.
const AGAIN: Duration = Duration::from_secs(1);

/// What Ctrl-C does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// It ends the program.
    Ends,
    /// It ends what is shown, and the shell goes on.
    Returns,
}

/// Does what the words say; the answer is the exit status.
pub fn words(words: Words, socket: &Path, json: bool, interrupt: Interrupt) -> u8 {
    if let Some(question) = words.question()
        && let Err(why) = agreed(question)
    {
        return complain(&why, REFUSED);
    }
    let request = match words.request(ask_secret) {
        Ok(request) => request,
        Err(error) => return complain(&error.to_string(), USAGE),
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            let interrupted = async {
                match interrupt {
                    Interrupt::Ends => std::future::pending().await,
                    Interrupt::Returns => tokio::signal::ctrl_c().await,
                }
            };
            tokio::select! {
                code = answer(socket, request, json) => code,
                _ = interrupted => DONE,
            }
        }),
        Err(error) => complain(&error.to_string(), UNREACHABLE),
    }
}

async fn answer(socket: &Path, mut request: Request, json: bool) -> u8 {
    let follows = matches!(request, Request::ShowLog { follow: true, .. });
    let mut lines: Vec<LogLine> = Vec::new();
    let mut last_id = None;
    let mut told = false;
    loop {
        let meanwhile = |answer: Response| match answer {
            // What is waited for is said at once, and beside the answer, not in it.
            Response::Waiting(why) => {
                complain(&why, DONE);
                ControlFlow::Continue(())
            }
            Response::Log { lines: page, .. } if !follows => {
                lines.extend(page);
                ControlFlow::Continue(())
            }
            streamed => {
                if let Response::Log { lines, .. } = &streamed {
                    last_id = lines.last().map(|line| line.id).or(last_id);
                }
                let now = Page::of_stdout();
                let text = if json { render::json_lines(&streamed) } else { render::text(&streamed, now) };
                print(&text)
            }
        };
        return match client::ask(socket, &request, meanwhile).await {
            // A reader that closed the pipe has what it wanted.
            Ok(None) => DONE,
            Err(error @ ClientError::Socket(_)) if last_id.is_none() && !told => {
                complain(&error.to_string(), UNREACHABLE)
            }
            Err(error) if follows => {
                if !told {
                    complain(&format!("{error}; waiting for it"), DONE);
                    told = true;
                }
                tokio::time::sleep(AGAIN).await;
                if let (Request::ShowLog { after_id, limit, .. }, Some(last)) = (&mut request, last_id) {
                    // From here on nothing is left out.
                    (*after_id, *limit) = (last, u32::MAX);
                }
                continue;
            }
            Err(error) => complain(&error.to_string(), UNREACHABLE),
            Ok(Some(Response::Refused(reason))) => {
                if json {
                    let _ = print(&render::json(&Response::Refused(reason.clone())));
                }
                complain(&reason, REFUSED)
            }
            Ok(Some(response)) => {
                let response = match response {
                    Response::Log { lines: page, more } => {
                        lines.extend(page);
                        Response::Log { lines, more }
                    }
                    other => other,
                };
                let text =
                    if json { render::json(&response) } else { render::text(&response, Page::of_stdout()) };
                let _ = print(&text);
                DONE
            }
        };
    }
}

fn print(text: &str) -> ControlFlow<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

/// Says it on standard error; the answer is the code.
pub fn complain(reason: &str, code: u8) -> u8 {
    let text = render::text(&Response::Refused(reason.to_owned()), Page::default());
    let _ = io::stderr().write_all(format!("cwmpctl: {text}").as_bytes());
    code
}

/// Asks a person on the terminal; why it is not done, if it is not.
fn agreed(question: &str) -> Result<(), String> {
    let nothing = "nothing was done";
    if !io::stdin().is_terminal() {
        return Err(format!("{question} There is no terminal to ask on, so {nothing}: add --yes to do it"));
    }
    let _ = write!(io::stderr(), "{question} Go on? [y/N] ");
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(|error| format!("{nothing}: {error}"))?;
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(nothing.to_owned()),
    }
}

/// From the terminal without showing it, or from the first line of standard input.
fn ask_secret(name: &str) -> io::Result<String> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("{name}: "));
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
