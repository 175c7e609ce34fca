import Foundation
import TaskArithmetic
import Testing

/// The documents describe merge methods as the registry does, and the registry lists every method in the sources.
struct MergeMethodDocumentTests {
    private let page: DeployedFile

    init() throws { page = try DeployedFile("Deploy/package/usr/share/man/man5/kfacd-job.5") }

    @Test func `every method of the folder of methods is registered`() throws {
        let files = try DeployedFile.sources(below: "Sources/TaskArithmetic/Methods")
        let names = files.flatMap { $0.matches(/MergeMethod\(\s*name: "([a-z0-9_]+)"/) }
        #expect(names.sorted() == MergeMethod.all.map(\.name).sorted())
    }

    /// A method is its own file and a line of the registry.
    ///
    /// Code elsewhere that compares names of methods would have to be found and extended for each new method.
    @Test func `no source but its own file and the registry asks whether a method is a certain one`() throws {
        let constants = try DeployedFile.sources(below: "Sources/TaskArithmetic/Methods").flatMap {
            $0.matches(/static let (\w+) = MergeMethod\(/)
        }
        #expect(constants.count == MergeMethod.all.count)
        let comparison = try Regex(
            "(?:==|!=|case) (?:MergeMethod)?\\.(?:\(constants.joined(separator: "|")))\\b(?!\\()")
        let modules = [
            "UnitOperations", "JobPlan", "CoordinatorService", "WorkerService", "Scheduling", "WireProtocol", "kfacctl",
        ]
        for module in modules {
            for file in try DeployedFile.sources(below: "Sources/\(module)") where !file.path.contains("/Generated/") {
                let found = file.text.matches(of: comparison).map { String(file.text[$0.range]) }
                // A kind of layer and a rule of the report have the same names.
                let others: Set<String> = ["case .linear", "case .taskArithmetic"]
                #expect(found.filter { !others.contains($0) } == [], "\(file.path)")
            }
        }
    }

    @Test func `the manual page lists every method with its formula`() throws {
        let section = try #require(page.text.components(separatedBy: ".Ss Merge methods\n").last)
        let list = try #require(section.components(separatedBy: "\n.El").first)
        let items = list.components(separatedBy: ".It Cm ").dropFirst().map {
            $0.split(separator: "\n").map(String.init)
        }
        #expect(items.compactMap(\.first) == MergeMethod.all.map(\.name))
        #expect(items.map { $0[1] } == MergeMethod.all.map { "\($0.formula)." })
    }

    @Test func `the manual page has an entry for every parameter at every level that may give it`() throws {
        let entries = page.matches(/\.It Sy ([^\n]*parameters\.[^\n]+)/).flatMap {
            $0.split(separator: " ").map(String.init)
        }.filter { $0 != "," && !$0.contains("[].filter") && !$0.contains("[].value") }
        let parameters = MergeMethod.allParameters.flatMap { parameter in
            (parameter.isOfModel ? ["models[].parameters.\(parameter.name)"] : [])
                + (parameter.isOfJob ? ["parameters.\(parameter.name)"] : [])
        }
        #expect(Set(entries) == Set(parameters + MergeParameter.acceptedWithoutEffect.map { "parameters.\($0)" }))
    }

    @Test func `the table of methods in the README is the registry's`() throws {
        let rows = try DeployedFile("README.md").text.split(separator: "\n").map(String.init)
        for method in MergeMethod.all {
            let paper = method.paper.arXiv.map { "[\(method.paper.citation)](https://arxiv.org/abs/\($0))" }
            let row = "| `\(method.name)` | \(method.formula) | \(paper ?? method.paper.citation) |"
            #expect(rows.contains(row), "README.md has no row \(row)")
        }
    }

    @Test func `the design has a row for every method`() throws {
        let design = try DeployedFile("Sources/DESIGN.md")
        for method in MergeMethod.all { #expect(design.text.contains("\n| `\(method.name)` | ")) }
    }
}
