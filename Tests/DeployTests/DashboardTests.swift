import Foundation
import TestSupport
import Testing

/// The dashboard shows metrics that exist, in queries that Prometheus accepts.
struct DashboardTests {
    /// The tested part of Grafana's format.
    private struct Dashboard: Decodable {
        struct Panel: Decodable {
            let id: Int
            let title: String
            let targets: [Target]
        }

        struct Target: Decodable {
            let expr: String
        }

        let title: String
        let panels: [Panel]
    }

    private let dashboard: Dashboard
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        let text = try DeployedFile("Deploy/prometheus/kfacd.dashboard.json").text
        dashboard = try JSONDecoder().decode(Dashboard.self, from: Data(text.utf8))
    }

    private var expressions: [String] { dashboard.panels.flatMap(\.targets).map(\.expr) }

    @Test func `every panel has a title and asks for something`() {
        #expect(dashboard.title == "kfacd")
        #expect(dashboard.panels.count >= 10)
        #expect(Set(dashboard.panels.map(\.id)).count == dashboard.panels.count)
        #expect(dashboard.panels.filter { $0.title.isEmpty || $0.targets.isEmpty }.isEmpty)
    }

    @Test func `every metric of a panel is one of the daemons', and every panel has one`() throws {
        let declared = try DeclaredMetrics.names()
        for expression in expressions {
            let asked = expression.matches(of: /kfacd_[a-z_]+/).map { match in
                // A query for a histogram uses its buckets.
                let name = String(match.0)
                return name.hasSuffix("_bucket") ? String(name.dropLast("_bucket".count)) : name
            }
            #expect(!asked.isEmpty, "\(expression)")
            #expect(Set(asked).subtracting(declared).isEmpty, "\(expression)")
        }
    }

    @Test(.enabled(if: Promtool.isThere, Promtool.reason))
    func `Prometheus understands what every panel asks`() throws {
        let rules = expressions.enumerated().map { number, expression in
            // Grafana inserts a time range there.
            ["record": "panel:\(number)", "expr": expression.replacing("$__rate_interval", with: "5m")]
        }
        // JSON is valid YAML.
        let file: [String: Any] = ["groups": [["name": "dashboard", "rules": rules] as [String: Any]]]
        let path = try directory.write(Array(try JSONSerialization.data(withJSONObject: file)), to: "rules.yaml")
        let (status, output) = try OutsideProgram.run(["promtool", "check", "rules", path])
        #expect(status == 0, "\(output)")
    }
}
