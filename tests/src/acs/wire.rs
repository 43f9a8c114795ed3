//! HTTP/1.1 by hand: one request read from a socket, one answer written to it, well or badly.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use nix::sys::socket::{setsockopt, sockopt};

use super::plan::{Manner, Trouble};

const LARGEST_BODY: usize = 64 << 20;

/// One request of the device.
pub(super) struct Request {
    pub(super) head: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// One answer, before the manner of the session shapes it.
pub(super) struct Reply {
    pub(super) status: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// A connection and the bytes read from it beyond the last request.
pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The next request, or `None` at the end of the connection.
    pub(super) fn read_request(&mut self) -> io::Result<Option<Request>> {
        let (head, headers, length) = loop {
            if let Some(found) = parse_head(&self.buffer)? {
                break found;
            }
            if !self.fill()? {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(bad("end in the middle of a head"))
                };
            }
        };
        self.buffer.drain(..length);
        let is = |name: &str, value: &str| {
            headers.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && v.eq_ignore_ascii_case(value))
        };
        let body = if is("Transfer-Encoding", "chunked") {
            self.chunked_body()?
        } else {
            let announced = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case("Content-Length"));
            let length = match announced {
                Some((_, text)) => text.parse().map_err(|_| bad("Content-Length is not a number"))?,
                None => 0,
            };
            self.take(length)?
        };
        let body = String::from_utf8(body).map_err(|_| bad("body is not UTF-8"))?;
        Ok(Some(Request { head, headers, body }))
    }

    /// True when more bytes than the request lie in the buffer: the device pipelines.
    pub(super) fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Writes the answer, and returns the status line and headers that stood on the wire.
    pub(super) fn write(
        &mut self,
        reply: &Reply,
        manner: Manner,
    ) -> io::Result<(String, Vec<(String, String)>)> {
        let head = format!("HTTP/1.{} {}", if manner.http10 { 0 } else { 1 }, reply.status);
        let mut headers = reply.headers.clone();
        let chunked = manner.chunked && !reply.body.is_empty();
        if chunked {
            headers.push(("Transfer-Encoding".into(), "chunked".into()));
        } else if !reply.status.starts_with("204") {
            headers.push(("Content-Length".into(), reply.body.len().to_string()));
        }
        if manner.close_each {
            headers.push(("Connection".into(), "close".into()));
        }
        if manner.odd_heads {
            headers.push(("content-TYPE".into(), "text/xml".into()));
            headers.retain(|(name, _)| name != "Content-Type");
            for (name, value) in headers.iter_mut().filter(|(name, _)| name == "Content-Length") {
                (*name, *value) = ("CONTENT-length ".into(), format!("   {value}  "));
            }
            for (name, _) in headers.iter_mut().filter(|(name, _)| name == "Set-Cookie") {
                *name = "set-COOKIE".into();
            }
        }
        let mut bytes = format!("{head}\r\n").into_bytes();
        for (name, value) in &headers {
            bytes.extend(format!("{name}: {value}\r\n").into_bytes());
        }
        bytes.extend(b"\r\n");
        if chunked {
            for piece in reply.body.as_bytes().chunks(61) {
                bytes.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(reply.body.as_bytes());
        }
        if manner.byte_by_byte {
            self.stream.set_nodelay(true)?;
            for byte in bytes {
                self.stream.write_all(&[byte])?;
            }
        } else {
            self.stream.write_all(&bytes)?;
        }
        if manner.close_each {
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok((head, headers))
    }

    /// Misbehaves; returns what to write into the record in place of a status line.
    pub(super) fn misbehave(&mut self, trouble: &Trouble) -> io::Result<(String, String)> {
        let plain = |status: &str, body: &str| Reply {
            status: status.into(),
            headers: vec![("Content-Type".into(), "text/xml; charset=utf-8".into())],
            body: body.into(),
        };
        match trouble {
            Trouble::Status(code) => {
                let reply = plain(&format!("{code} Planned"), "<html><body>planned</body></html>");
                let (head, _) = self.write(&reply, Manner::default())?;
                Ok((head, reply.body))
            }
            Trouble::Body(text) => {
                let (head, _) = self.write(&plain("200 OK", text), Manner::default())?;
                Ok((head, text.clone()))
            }
            Trouble::TruncatedXml => {
                let text = "<?xml version=\"1.0\"?><soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><cwmp:Inf";
                self.misbehave(&Trouble::Body(text.into()))
            }
            Trouble::WrongRoot => self.misbehave(&Trouble::Body("<note>not an envelope</note>".into())),
            Trouble::Garbage => {
                let garbage = b"\x16\x03\x01\x00\xff this is not HTTP at all\r\n\r\n\x00\x01\x02";
                self.misbehave(&Trouble::Bytes(garbage.to_vec()))
            }
            Trouble::Bytes(bytes) => {
                // A device that hangs up early has seen enough.
                if self.stream.write_all(bytes).is_ok() {
                    self.stream.shutdown(Shutdown::Write)?;
                }
                Ok((format!("({} bytes)", bytes.len()), String::new()))
            }
            Trouble::Drip(begin, pause) => {
                self.stream.set_nodelay(true)?;
                self.stream.write_all(begin.as_bytes())?;
                while self.stream.write_all(b" ").is_ok() {
                    std::thread::sleep(*pause);
                }
                Ok(("(drip after drip)".into(), String::new()))
            }
            Trouble::Silence => Ok(("(silence)".into(), String::new())),
            Trouble::Reset => {
                let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                setsockopt(&self.stream, sockopt::Linger, &at_once)?;
                Ok(("(reset)".into(), String::new()))
            }
            Trouble::Close => Ok(("(close)".into(), String::new())),
            Trouble::HalfBody => {
                self.stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 4000\r\n\r\n<soap:Env",
                )?;
                self.stream.shutdown(Shutdown::Write)?;
                Ok(("(closed in mid-body)".into(), String::new()))
            }
            Trouble::HugeBody(size) => {
                self.stream.write_all(
                    format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {size}\r\n\r\n")
                        .as_bytes(),
                )?;
                self.flood(*size, |piece| piece.to_vec());
                Ok((format!("(a body of {size} bytes)"), String::new()))
            }
            Trouble::HugeChunked(size) => {
                self.stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n",
                )?;
                self.flood(*size, |piece| {
                    let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
                    chunk.extend(piece);
                    chunk.extend(b"\r\n");
                    chunk
                });
                Ok((format!("(a chunked body of {size} bytes)"), String::new()))
            }
        }
    }

    /// Reads and drops until the device closes.
    pub(super) fn drain(&mut self) {
        let mut sink = [0; 4096];
        while matches!(self.stream.read(&mut sink), Ok(n) if n > 0) {}
    }

    /// As many bytes as the device takes: that it hangs up early is what the limit is for.
    fn flood(&mut self, size: u64, frame: impl Fn(&[u8]) -> Vec<u8>) {
        let piece = vec![b' '; 1 << 16];
        let mut left = size;
        while left > 0 {
            let now = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if self.stream.write_all(&frame(&piece[..now])).is_err() {
                return;
            }
            left -= now as u64;
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16384];
        let read = self.stream.read(&mut piece)?;
        self.buffer.extend(&piece[..read]);
        Ok(read > 0)
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length > LARGEST_BODY {
            return Err(bad("the device sends more than the test ACS takes"));
        }
        while self.buffer.len() < length {
            if !self.fill()? {
                return Err(bad("end in the middle of a body"));
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn chunked_body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let (used, size) = loop {
                match httparse::parse_chunk_size(&self.buffer).map_err(|_| bad("bad chunk size"))? {
                    httparse::Status::Complete((used, size)) => break (used, size),
                    httparse::Status::Partial if !self.fill()? => return Err(bad("end in a chunk size")),
                    httparse::Status::Partial => {}
                }
            };
            self.buffer.drain(..used);
            let size = usize::try_from(size).map_err(|_| bad("chunk too large"))?;
            body.extend(self.take(size)?);
            self.take(2)?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

type Head = (String, Vec<(String, String)>, usize);

fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut slots = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut slots);
    match request.parse(bytes).map_err(|e| bad(&format!("not an HTTP request: {e}")))? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(length) => {
            let head = format!(
                "{} {} HTTP/1.{}",
                request.method.unwrap_or("?"),
                request.path.unwrap_or("?"),
                request.version.unwrap_or(9)
            );
            let headers = request
                .headers
                .iter()
                .map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned()))
                .collect();
            Ok(Some((head, headers, length)))
        }
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
