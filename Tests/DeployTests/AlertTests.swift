import Testing
import Yams

/// The alerts ask for metrics that exist, and the operator's guide has an answer to each.
struct AlertTests {
    private let rules: [Node]

    init() throws {
        let document = try #require(try DeployedFile("Deploy/prometheus/kfacd.rules.yaml").documents().first)
        rules = try #require(document["groups"]?[0]?["rules"]?.sequence.map(Array.init))
    }

    @Test func `every metric of an alert is one of the daemons'`() throws {
        let declared = Set(
            try DeployedFile.sources(below: "Sources").flatMap { $0.matches(/MetricFamily\(\s*"(kfacd_[a-z_]+)"/) })
        #expect(declared.contains("kfacd_workers"))
        let expressions = rules.compactMap { $0["expr"]?.string }
        #expect(expressions.count == rules.count)
        let asked = Set(expressions.flatMap { $0.matches(of: /kfacd_[a-z_]+/).map { String($0.0) } })
        #expect(asked.subtracting(declared).isEmpty)
    }

    @Test func `every alert has its section in the operator's guide, and every section its alert`() throws {
        let names = rules.compactMap { $0["alert"]?.string }
        let sections = try DeployedFile("Deploy/README.md").matches(/### (Kfacd[A-Za-z]+)/)
        #expect(names == sections)
    }

    @Test func `every alert has a severity and a summary`() {
        for rule in rules {
            #expect(["critical", "warning", "info"].contains(rule["labels"]?["severity"]?.string))
            #expect(rule["annotations"]?["summary"]?.string?.isEmpty == false)
        }
    }
}
