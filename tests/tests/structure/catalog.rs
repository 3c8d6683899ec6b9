//! What the template tells engines of the lake, and what the functions write.

use lake::schema::{COLUMNS, Kind};
use lake::{Hour, key};
use serde_json::Value;
use telemetry::Micros;

use crate::deployment::{Deployment, list};

/// 2026-11-23T07:00:00Z.
const SEVEN: Micros = Micros(1_795_417_200_000_000);

fn table(deployment: &Deployment) -> &Value {
    let tables: Vec<_> = deployment.of_type("AWS::Glue::Table").collect();
    assert_eq!(tables.len(), 1, "{}", deployment.name);
    &tables[0].1["TableInput"]
}

#[test]
fn the_catalog_has_the_columns_that_are_written() {
    let athena = |kind: Kind| match kind {
        Kind::Text => "string",
        Kind::Time => "timestamp",
        Kind::Double => "double",
        Kind::Integer => "bigint",
    };
    let expected: Vec<[&str; 3]> = COLUMNS.iter().map(|c| [c.name, athena(c.kind), c.meaning]).collect();
    for deployment in Deployment::all() {
        let columns = list(&table(&deployment)["StorageDescriptor"]["Columns"]);
        let text = |column: &&Value| {
            ["Name", "Type", "Comment"].map(|field| column[field].as_str().unwrap().to_owned())
        };
        assert_eq!(columns.iter().map(text).collect::<Vec<_>>(), expected);
    }
}

/// A day and an hour in place of the projected ones.
fn projected(template: &str) -> String {
    template.replace("${!day}", "2026-11-23").replace("${!hour}", "07").replace("s3://${Bucket}/", "")
}

#[test]
fn partitions_are_projected_to_where_objects_lie() {
    for deployment in Deployment::all() {
        let table = table(&deployment);
        let keys: Vec<_> =
            list(&table["PartitionKeys"]).into_iter().map(|key| (&key["Name"], &key["Type"])).collect();
        assert_eq!(
            format!("{keys:?}"),
            r#"[(String("day"), String("date")), (String("hour"), String("int"))]"#
        );
        let parameters = &table["Parameters"];
        let place = parameters["storage.location.template"]["Fn::Sub"].as_str().unwrap();
        assert_eq!(projected(place) + "/", Hour::of(SEVEN).prefix());
        let root = table["StorageDescriptor"]["Location"]["Fn::Sub"].as_str().unwrap();
        assert_eq!(projected(root) + "/", key::PREFIX);
        let setting =
            |name: &str| parameters[&format!("projection.{name}")].as_str().unwrap_or_default().to_owned();
        assert_eq!(["enabled", "day.type", "hour.type"].map(setting), ["true", "date", "integer"]);
        assert_eq!(
            [setting("day.format"), setting("hour.range"), setting("hour.digits")],
            ["yyyy-MM-dd", "0,23", "2"]
        );
    }
}

#[test]
fn queries_have_a_limit_and_their_results_expire() {
    for deployment in Deployment::all() {
        let workgroups: Vec<_> = deployment.of_type("AWS::Athena::WorkGroup").collect();
        assert!(!workgroups.is_empty(), "{}", deployment.name);
        let (_, bucket) = deployment.of_type("AWS::S3::Bucket").next().unwrap();
        for (id, workgroup) in workgroups {
            let configuration = &workgroup["WorkGroupConfiguration"];
            assert_eq!(
                configuration["EnforceWorkGroupConfiguration"], true,
                "{id}: a client could lift the limit"
            );
            assert!(!configuration["BytesScannedCutoffPerQuery"].is_null(), "{id}");
            let results = configuration["ResultConfiguration"]["OutputLocation"]["Fn::Sub"].as_str().unwrap();
            let rules = list(&bucket["LifecycleConfiguration"]["Rules"]);
            let expires =
                |rule: &&Value| rule["Prefix"] == projected(results) && rule["ExpirationInDays"].is_i64();
            assert!(rules.iter().any(expires), "{id}: results stay for ever");
        }
    }
}

#[test]
fn saved_queries_take_each_identity_once() {
    for deployment in Deployment::all_on_aws() {
        for (id, query) in deployment.of_type("AWS::Athena::NamedQuery") {
            let sql = query["QueryString"].as_str().unwrap();
            // Of gaps, those between rows of one time are none.
            let is_right =
                id == "GapsQuery" || (sql.contains("coalesce(seq, 0)") && sql.contains("WHERE place = 1"));
            assert!(is_right, "{id}: an hour that is not compacted may have a reading twice");
            assert!(!sql.replace("coalesce(seq, 0)", "").contains("seq"), "{id}: null is 0");
        }
    }
}

#[test]
fn saved_queries_name_a_day() {
    for deployment in Deployment::all_on_aws() {
        let queries: Vec<_> = deployment.of_type("AWS::Athena::NamedQuery").collect();
        assert_eq!(queries.len(), 4, "{}", deployment.name);
        for (id, query) in queries {
            let sql = query["QueryString"].as_str().unwrap();
            assert!(sql.contains("WHERE day "), "{id} would list every hour there is");
        }
    }
}
