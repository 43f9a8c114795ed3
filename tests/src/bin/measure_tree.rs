//! Measures whole-tree reads and sets over stored parameters, as the README states them; every value is compared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // all of it is test code

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant},
};

use tests::{
    Device, acs,
    process::{cpu, memory_kib},
};

/// Stored parameters, ten in each row of one table.
const SIZES: [usize; 4] = [1_000, 10_000, 50_000, 100_000];
const COLUMNS: usize = 10;
/// Runs of each figure, of which the median counts.
const RUNS: usize = 5;
/// Values of the SetParameterValues that is measured.
const SET: usize = 100;
/// Values of one SetParameterValues that prepares a run.
const BATCH: usize = 2_000;
const TABLE: &str = "Device.X_EXAMPLE_Bench.";

fn main() {
    let wanted: Vec<usize> = std::env::args().skip(1).map(|word| word.parse().expect("a number")).collect();
    let sizes = if wanted.is_empty() { SIZES.to_vec() } else { wanted };
    println!(
        "| stored parameters | RPC | service time | CPU `cwmp-supervisor` + `cwmpd` | peak memory of each |"
    );
    println!("| --- | --- | --- | --- | --- |");
    let rest: Vec<_> = sizes.iter().map(|size| (*size, measure(*size))).collect();
    println!("\n| what | figure |\n| --- | --- |");
    for (size, Rest { start, .. }) in &rest {
        println!("| start of `cwmp-supervisor` with {size} stored values | {:.0} ms |", ms(*start));
    }
    if let (Some((few, least)), Some((many, most))) = (rest.first(), rest.last())
        && many > few
    {
        let bytes = most.rss.saturating_sub(least.rss) * 1024 / (*many - *few) as u64;
        println!("| memory at rest of `cwmp-supervisor`, {many} stored values | {:.1} MB |", mb(most.rss));
        println!("| of that for each stored value | {bytes} bytes |");
    }
}

/// What a device of one size costs when nothing is asked of it.
struct Rest {
    start: Duration,
    /// KiB of the supervisor.
    rss: u64,
}

fn measure(size: usize) -> Rest {
    let models = tempfile::tempdir().expect("a temporary directory");
    fs::write(models.path().join("bench.toml"), model(size)).expect("the model file is written");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("\"http://{}/cwmp\"", listener.local_addr().expect("a bound socket has an address"));
    let mut device = Device::builder()
        .second_ms(1000)
        .ipc_clocks(10_000, 60_000)
        .session_max_s(3600)
        .factory("cwmp.acs_url", &url)
        .extra_settings(&format!("[data_model]\ndir = \"{}\"\n", models.path().display()))
        .start();
    let mut session = Session::accept(&listener);
    let pids = [device.supervisor_pid(), device.worker_pid()];
    let mut samples = [const { Vec::new() }; 3];
    for run in 0..RUNS {
        for first in (0..size).step_by(BATCH) {
            session.set(run, first..size.min(first + BATCH));
        }
        let names = acs::envelope::get_parameter_names("", false);
        let (answer, sample) = sampled(pids, || session.ask(&body(&names)));
        samples[0].push(sample);
        compare_names(&answer, size);
        let (answer, sample) =
            sampled(pids, || session.ask(&body(&acs::envelope::get_parameter_values(&[""]))));
        samples[1].push(sample);
        compare_values(&answer, size, |index| value(run, index));
        // Spread over the whole tree, and to what the next run does not set either.
        let chosen: Vec<usize> = (0..SET).map(|n| n * (size / SET)).collect();
        let request = set_request(chosen.iter().map(|index| (*index, value(run + RUNS, *index))));
        let (answer, sample) = sampled(pids, || session.ask(&request));
        samples[2].push(sample);
        assert_applied(&answer);
        let answer = session.ask(&body(&acs::envelope::get_parameter_values(&[""]))).0;
        compare_values(&answer, size, |index| {
            value(
                if index % (size / SET) == 0 && index / (size / SET) < SET { run + RUNS } else { run },
                index,
            )
        });
    }
    for (rpc, samples) in
        ["GetParameterNames", "GetParameterValues", "SetParameterValues of 100"].iter().zip(&mut samples)
    {
        report(size, rpc, samples);
    }
    device.kill_supervisor();
    // So that it has a 1 BOOT to tell.
    fs::write(device.directory().join("boot-id"), "boot-2\n").expect("the device's directory is writable");
    let begin = Instant::now();
    device.start_again();
    let start = begin.elapsed();
    // What was acknowledged is there after a kill.
    let mut session = Session::accept(&listener);
    let rss = memory_kib(device.supervisor_pid(), "VmRSS:");
    let answer = session.ask(&body(&acs::envelope::get_parameter_values(&[""]))).0;
    assert_eq!(entries(&answer).filter(|(name, _)| name.starts_with(TABLE)).count(), size);
    Rest { start, rss }
}

fn model(size: usize) -> String {
    let rows = size / COLUMNS;
    let mut text = format!("[[object]]\npath = \"{TABLE}{{i}}.\"\naccess = \"readWrite\"\nrows = {rows}\n");
    for column in 0..COLUMNS {
        let kind = kind(column);
        text.push_str(&format!(
            "[[parameter]]\npath = \"{TABLE}{{i}}.Param{column}\"\ntype = \"{kind}\"\naccess = \"readWrite\"\nbacking = \"stored\"\n"
        ));
    }
    text
}

fn kind(column: usize) -> &'static str {
    ["string", "string", "string", "unsignedInt", "boolean"][column % 5]
}

fn name(index: usize) -> String {
    format!("{TABLE}{}.Param{}", index / COLUMNS + 1, index % COLUMNS)
}

/// What a parameter is set to in that run: another value each run; some need an escape, some are not ASCII.
fn value(run: usize, index: usize) -> String {
    match kind(index % COLUMNS) {
        "unsignedInt" => (run * 1_000_000 + index).to_string(),
        "boolean" => if (run + index / COLUMNS).is_multiple_of(2) { "true" } else { "false" }.to_owned(),
        _ if index.is_multiple_of(50) => format!("a<b & c of {run} in \u{e9}tage {index}"),
        _ => format!("value {run} of {index}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn body(rpc: &acs::Envelope) -> String {
    let acs::Envelope::Body(text) = rpc else { panic!("not a body") };
    text.clone()
}

fn set_request(values: impl Iterator<Item = (usize, String)>) -> String {
    let values: Vec<_> =
        values.map(|(index, text)| (name(index), format!("xsd:{}", kind(index % COLUMNS)), text)).collect();
    let values: Vec<_> =
        values.iter().map(|(name, kind, text)| (name.as_str(), kind.as_str(), text.as_str())).collect();
    body(&acs::envelope::set_parameter_values(&values, "bench"))
}

/// The ACS's side of one session: as little work as can be while a time runs.
struct Session {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Session {
    /// Takes the device's connection up to its empty POST.
    fn accept(listener: &TcpListener) -> Self {
        let stream = listener.accept().expect("the device connects").0;
        stream.set_nodelay(true).expect("a socket has this option");
        let mut session = Self { stream, buffer: vec![0; 64 << 20] };
        let inform = session.read().0;
        assert!(text(&inform).contains("cwmp:Inform>"), "no Inform: {}", text(&inform));
        session.ask("<cwmp:InformResponse><MaxEnvelopes>1</MaxEnvelopes></cwmp:InformResponse>");
        session
    }

    /// Sends a body, and returns the device's answer, and the time from the end of the one to the last byte of
    /// the other.
    fn ask(&mut self, content: &str) -> (Vec<u8>, Duration) {
        let envelope = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:soapenc=\"http://schemas.xmlsoap.org/soap/encoding/\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:cwmp=\"urn:dslforum-org:cwmp-1-2\"><soap:Header><cwmp:ID soap:mustUnderstand=\"1\">1</cwmp:ID></soap:Header><soap:Body>{content}</soap:Body></soap:Envelope>"
        );
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
            envelope.len()
        );
        self.stream.write_all((head + &envelope).as_bytes()).expect("the device reads");
        let begin = Instant::now();
        let answer = self.read();
        // The copy of the answer is not the device's time.
        let took = begin.elapsed().saturating_sub(answer.1);
        (answer.0, took)
    }

    /// Sets these parameters to the values of that run.
    fn set(&mut self, run: usize, range: std::ops::Range<usize>) {
        let request = set_request(range.map(|index| (index, value(run, index))));
        assert_applied(&self.ask(&request).0);
    }

    /// One POST: its body, and how long it took to take it out of the buffer after its last byte.
    fn read(&mut self) -> (Vec<u8>, Duration) {
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).expect("the device sends");
            assert!(read > 0, "the device left:\n{}", String::from_utf8_lossy(&self.buffer[..filled]));
            filled += read;
            let bytes = &self.buffer[..filled];
            let Some(head) = bytes[..filled.min(4096)].windows(4).position(|at| at == b"\r\n\r\n") else {
                continue;
            };
            let body = &bytes[head + 4..];
            let headers = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
            let length = headers.lines().find_map(|line| line.strip_prefix("content-length: "));
            let complete = match length {
                Some(length) => body.len() == length.trim().parse::<usize>().expect("a length"),
                None => body.ends_with(b"\r\n0\r\n\r\n"),
            };
            if complete {
                let last = Instant::now();
                let body = if length.is_some() { body.to_vec() } else { unchunked(body) };
                return (body, last.elapsed());
            }
        }
    }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(rest.len());
    loop {
        let end = rest.windows(2).position(|at| at == b"\r\n").expect("a chunk has a size");
        let size = usize::from_str_radix(text(&rest[..end]), 16).expect("a size is a hex number");
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the device sends UTF-8")
}

fn assert_applied(answer: &[u8]) {
    assert!(text(answer).contains("<Status>0</Status>"), "not set: {}", text(answer));
}

/// Name and what follows it, of every entry of a list.
fn entries(answer: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    text(answer).split("<Name>").skip(1).map(|entry| entry.split_once("</Name>").expect("a whole Name"))
}

/// The announced count, and every entry below the table: all there, each with its value.
fn compare_values(answer: &[u8], size: usize, expected: impl Fn(usize) -> String) {
    let mut seen = vec![false; size];
    let mut count = 0;
    for (path, rest) in entries(answer) {
        count += 1;
        let Some(index) = index_of(path) else { continue };
        let kind = kind(index % COLUMNS);
        let wanted = format!("<Value xsi:type=\"xsd:{kind}\">{}</Value>", escaped(&expected(index)));
        let same = rest.starts_with(&wanted)
            // A boolean reads back as 1 or 0, or as the word.
            || kind == "boolean" && {
                let digit = wanted.replace(">true<", ">1<").replace(">false<", ">0<");
                rest.starts_with(&digit)
            };
        assert!(same, "{path} is {}, not {wanted}", &rest[..rest.len().min(200)]);
        assert!(!std::mem::replace(&mut seen[index], true), "{path} comes twice");
    }
    assert!(seen.iter().all(|seen| *seen), "values are missing");
    assert_count(answer, count);
}

fn compare_names(answer: &[u8], size: usize) {
    let (mut count, mut parameters, mut objects) = (0, 0, 0);
    for (path, rest) in entries(answer) {
        count += 1;
        if path.starts_with(TABLE) {
            let kind = if path.ends_with('.') { &mut objects } else { &mut parameters };
            *kind += 1;
            assert!(rest.starts_with("<Writable>"), "{path}: {}", &rest[..rest.len().min(100)]);
        }
    }
    assert_eq!((parameters, objects), (size, size / COLUMNS + 1), "names are missing");
    assert_count(answer, count);
}

fn assert_count(answer: &[u8], count: usize) {
    assert!(text(answer).contains(&format!("Struct[{count}]\"")), "arrayType is not {count}");
}

fn index_of(path: &str) -> Option<usize> {
    let (row, column) = path.strip_prefix(TABLE)?.split_once(".Param")?;
    Some((row.parse::<usize>().ok()? - 1) * COLUMNS + column.parse::<usize>().ok()?)
}

/// Of one run: the time of it, CPU of both daemons, the most memory that each had at once, in KiB.
struct Sample {
    wall: Duration,
    cpu: [Duration; 2],
    peak: [u64; 2],
}

fn sampled(pids: [u32; 2], ask: impl FnOnce() -> (Vec<u8>, Duration)) -> (Vec<u8>, Sample) {
    // The peak begins anew (proc(5), clear_refs).
    pids.iter().for_each(|pid| fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of ours"));
    let before = pids.map(cpu);
    let (answer, wall) = ask();
    let after = pids.map(cpu);
    let peak = pids.map(|pid| memory_kib(pid, "VmHWM:"));
    (answer, Sample { wall, cpu: [after[0] - before[0], after[1] - before[1]], peak })
}

fn report(size: usize, rpc: &str, samples: &mut [Sample]) {
    let peak = [0, 1].map(|of| samples.iter().map(|sample| sample.peak[of]).max().unwrap_or_default());
    let cpu = [0, 1].map(|of| median(samples.iter().map(|sample| sample.cpu[of]).collect()));
    println!(
        "| {size} | {rpc} | {:.1} ms | {:.1} + {:.1} ms | {:.1} + {:.1} MB |",
        ms(median(samples.iter().map(|sample| sample.wall).collect())),
        ms(cpu[0]),
        ms(cpu[1]),
        mb(peak[0]),
        mb(peak[1])
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn mb(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}
