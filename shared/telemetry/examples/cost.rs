use std::sync::Arc;
use std::time::Instant;
use telemetry::*;
fn time(label: &str, profile: Option<&str>, payload: String) {
    let p: Vec<Arc<Profile>> = profile.iter().map(|t| Arc::new(Profile::from_toml(t).unwrap())).collect();
    let e = Envelope {
        payload: base64_simd::STANDARD
            .encode_to_string({
                use std::io::Write;
                let mut g = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                g.write_all(payload.as_bytes()).unwrap();
                g.finish().unwrap()
            })
            .into(),
        topic: "dt/s/d/state".into(),
        client: None,
        principal: None,
        content_type: None,
        received: Micros(1_795_417_200_250_000),
        trace: Some("t".into()),
        record: None,
    };
    let mut best = f64::MAX;
    let mut n = 0;
    let mut err = String::new();
    for _ in 0..3 {
        let mut d = Decoder::new(Settings::default(), Arc::new(p.iter().cloned().collect()));
        let t = Instant::now();
        let mut r = Vec::new();
        if let Err(x) = d.decode(&e, &mut r) {
            err = x.code().to_owned()
        };
        n = r.len();
        best = best.min(t.elapsed().as_secs_f64());
    }
    println!("{label}: {:.2} ms, {n} readings {err} ({} bytes)", best * 1e3, payload.len());
}
fn main() {
    let join = |f: &dyn Fn(usize) -> String, n: usize| (0..n).map(|i| f(i)).collect::<Vec<_>>().join(",");
    time("plain", None, format!("[{}]", join(&|i| format!("{{\"a\":{i},\"b\":1,\"c\":2,\"d\":3}}"), 2500)));
    time("names", None, format!("{{{}}}", join(&|i| format!("\"n{i}x\":{i}"), 10000)));
    time(
        "long names",
        None,
        format!("{{{}}}", join(&|i| format!("\"the_{i}_temperature_of_something\":{i}"), 10000)),
    );
    time(
        "camel names",
        None,
        format!("{{{}}}", join(&|i| format!("\"aBcDeFgHiJkLmNoPqRsTuVwXyZaBcD{i}\":{i}"), 10000)),
    );
    let rules: String = (0..200).map(|i| format!("[[metric]]\nfrom = \"*.r{i}.*.x\"\n")).collect();
    let prof = format!("name=\"p\"\ndevices=\"*/*\"\n{rules}");
    time(
        "paths, 200 star rules",
        Some(&prof),
        format!("{{\"a\":{{{}}}}}", join(&|i| format!("\"n{i}\":{{\"b\":{{\"x\":{i}}}}}"), 10000)),
    );
    time("times", None, format!("[{}]", join(&|i| format!("{{\"a\":1,\"ts\":{}}}", 1795417200 - i), 10000)));
    time(
        "text times",
        None,
        format!(
            "[{}]",
            join(
                &|i| format!(
                    "{{\"a\":1,\"ts\":\"2026-11-22T{:02}:{:02}:{:02}Z\"}}",
                    i / 3600 % 24,
                    i / 60 % 60,
                    i % 60
                ),
                10000
            )
        ),
    );
    time(
        "zoned",
        Some("name=\"p\"\ndevices=\"*/*\"\ntime.zone=\"Europe/Berlin\""),
        format!(
            "[{}]",
            join(
                &|i| format!(
                    "{{\"a\":1,\"ts\":\"2026-11-22T{:02}:{:02}:{:02}\"}}",
                    i / 3600 % 24,
                    i / 60 % 60,
                    i % 60
                ),
                10000
            )
        ),
    );
    time("units", None, format!("[{}]", join(&|i| format!("{{\"n\":\"a\",\"v\":1,\"u\":\"u{i}\"}}"), 9900)));
    time(
        "same name and time",
        None,
        format!("[{}]", join(&|i| format!("{{\"a\":{i},\"ts\":1795417200}}"), 10000)),
    );
    time(
        "nested arrays",
        None,
        format!("{{\"a\":[{}]}}", join(&|i| format!("{{\"id\":\"k{i}\",\"v\":1}}"), 10000)),
    );
    time(
        "nested timed",
        None,
        format!(
            "{{\"a\":[{}]}}",
            join(&|i| format!("{{\"b\":{{\"ts\":{},\"v\":1}}}}", 1795417200 - i), 10000)
        ),
    );
    time(
        "columns",
        None,
        format!(
            "{{\"ts\":[{}],\"a\":[{}]}}",
            join(&|i| format!("{}", 1795417200 - i), 5000),
            join(&|i| format!("{i}"), 5000)
        ),
    );
    time(
        "units beside, many objects",
        None,
        format!("{{{}}}", join(&|i| format!("\"TempUnit{i}\":\"C\",\"temp{i}\":1"), 5000)),
    );
    time(
        "unit sources",
        None,
        format!("{{{}}}", join(&|i| format!("\"n{i}Temp_unit\":\"C\",\"temp{i}\":1"), 5000)),
    );
}
