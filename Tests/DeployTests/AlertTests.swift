import Testing
import Yams

/// The alerts use metrics that exist, and the operator's guide has an answer to each alert.
@Suite(.timeLimit(.minutes(5)))
struct AlertTests {
    private static let rules = "Deploy/prometheus/kfacd.rules.yaml"
    private static let cases = "Deploy/prometheus/kfacd.rules.test.yaml"
    private let rules: [Node]

    init() throws {
        let document = try #require(try DeployedFile(Self.rules).documents().first)
        rules = try #require(document["groups"]?[0]?["rules"]?.sequence.map(Array.init))
    }

    @Test func `every metric of an alert is one of the daemons'`() throws {
        let declared = try DeclaredMetrics.names()
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

    @Test func `every alert has cases in which it is due and in which it is not`() throws {
        let document = try #require(try DeployedFile(Self.cases).documents().first)
        let tests = try #require(
            document["tests"]?.sequence.flatMap { $0.compactMap { $0["alert_rule_test"]?.sequence } })
        for rule in rules {
            let cases = tests.joined().filter { $0["alertname"] == rule["alert"] }
            let numbers = cases.map { $0["exp_alerts"]?.sequence?.count }
            #expect(numbers.contains(0) && numbers.contains { $0 ?? 0 > 0 }, "\(rule["alert"]?.string ?? "")")
        }
    }

    @Test(.enabled(if: Promtool.isThere, Promtool.reason))
    func `the rules are what Prometheus takes, and each alert is due when it should be`() throws {
        for arguments in [["check", "rules", Self.rules], ["test", "rules", Self.cases]] {
            let (status, output) = try OutsideProgram.run(["promtool"] + arguments)
            #expect(status == 0, "\(output)")
        }
    }
}

/// Prometheus's own checker of rules.
enum Promtool {
    static let reason: Comment = "there is no promtool (Debian: prometheus)"

    static var isThere: Bool { (try? OutsideProgram.run(["promtool", "--version"]))?.status == 0 }
}
