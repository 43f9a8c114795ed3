//! One line of words: asked, answered, printed as it comes.

use std::{
    io::{self, Write as _},
    ops::ControlFlow,
    path::Path,
};

use ipc_proto::control::{Request, Response};

use super::{
    args::{DEFAULT_LINES, Words, WordsError},
    away::{self, Away},
    client,
    page::Page,
    question, render,
};

/// Exit status: it is done.
pub const DONE: u8 = 0;
const REFUSED: u8 = 1;
/// Exit status: wrong words.
pub const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;

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
        && let Err(why) = question::agreed(question)
    {
        return complain(&why, REFUSED);
    }
    let request = match words.request(question::ask) {
        Ok(request) => request,
        Err(error @ WordsError::TooLong(_)) => return complain(&error.to_string(), REFUSED),
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
    let follows = matches!(request, Request::ShowLog { follow: true, .. } | Request::WatchStatus);
    let limited = matches!(request, Request::ShowLog { limit: DEFAULT_LINES, follow: false, .. });
    let mut printer = Printer { json, follows, lines: 0, first_id: None };
    let mut away = Away::default();
    loop {
        // The request of this attempt stays as it was asked.
        let asked = request.clone();
        let mut code = DONE;
        let meanwhile = |answer: Response| {
            if follows {
                away.is_back();
                if let Response::Log { lines, .. } = &answer {
                    away::go_on_behind(&mut request, lines);
                }
            }
            printer.meanwhile(&answer).map_break(|ended| code = ended)
        };
        return match client::ask(socket, &asked, meanwhile).await {
            Ok(None) => code,
            Ok(Some(Response::Refused(reason))) => {
                if json {
                    let _ = print(&render::json(&Response::Refused(reason.clone())));
                }
                complain(&reason, REFUSED)
            }
            Ok(Some(response)) => {
                if let ControlFlow::Break(code) = printer.last(&response) {
                    return code;
                }
                if limited && printer.left_out() {
                    complain(
                        &format!("these are the newest {DEFAULT_LINES} lines; --limit N shows more"),
                        DONE,
                    );
                }
                DONE
            }
            Err(error) => match away.gone(&error) {
                Some(wait) => {
                    if wait.first {
                        complain("the supervisor is away, waiting", DONE);
                    }
                    tokio::time::sleep(wait.pause).await;
                    continue;
                }
                None => complain(&error.to_string(), UNREACHABLE),
            },
        };
    }
}

/// Prints answers as they come, so that no more than a page of a log is ever held.
struct Printer {
    json: bool,
    follows: bool,
    /// Of a log, so far.
    lines: usize,
    first_id: Option<u64>,
}

impl Printer {
    fn meanwhile(&mut self, answer: &Response) -> ControlFlow<u8> {
        match answer {
            // What is waited for is said at once, and beside the answer, not in it.
            Response::Waiting(why) => {
                complain(why, DONE);
                ControlFlow::Continue(())
            }
            Response::Log { .. } if !self.follows => self.page(answer, false),
            streamed if self.json => print(&render::json_lines(streamed)),
            streamed => print(&render::text(streamed, Page::of_stdout())),
        }
    }

    fn last(&mut self, answer: &Response) -> ControlFlow<u8> {
        match answer {
            Response::Log { .. } => self.page(answer, true),
            other if self.json => print(&render::json(other)),
            other => print(&render::text(other, Page::of_stdout())),
        }
    }

    fn page(&mut self, answer: &Response, last: bool) -> ControlFlow<u8> {
        let Response::Log { lines, .. } = answer else { return ControlFlow::Continue(()) };
        let text = if self.json {
            render::json_part(lines, self.lines, last)
        } else {
            render::text(answer, Page::of_stdout())
        };
        self.lines += lines.len();
        self.first_id = self.first_id.or(lines.first().map(|line| line.id));
        print(&text)
    }

    /// There are older lines than those that were printed.
    fn left_out(&self) -> bool {
        self.first_id.is_some_and(|id| id > 1) && self.lines >= DEFAULT_LINES as usize
    }
}

/// Breaks with the exit status when nobody takes it any more.
fn print(text: &str) -> ControlFlow<u8> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ControlFlow::Continue(()),
        // A reader that closed the pipe has what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ControlFlow::Break(DONE),
        Err(error) => {
            ControlFlow::Break(complain(&format!("the answer cannot be written: {error}"), REFUSED))
        }
    }
}

/// Says it on standard error; the answer is the code.
pub fn complain(reason: &str, code: u8) -> u8 {
    let page = Page::of_stderr();
    let text: String = reason.lines().map(|line| page.hang("", &format!("cwmpctl: {line}"))).collect();
    let _ = io::stderr().write_all(text.as_bytes());
    code
}
