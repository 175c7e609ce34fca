import Foundation
import JSONText
import TestSupport
import Testing

@testable import JobReport

/// What the page of a report shows.
struct JobReportPageTests {
    private let small = PageTables(.small)

    @Test func `a full report has every section, and the contents list them`() {
        let page = small.page
        #expect(page.problem == nil)
        #expect(
            page.sections == [
                "messages", "tasks", "interference", "merge", "factors", "distances", "health", "spectra", "settings",
                "inputs", "run",
            ])
        let links = page.all("a").compactMap { $0.attributes["href"] }
        #expect(links.first == "#main")
        #expect(links.filter { $0.hasPrefix("#") }.dropFirst() == page.sections.map { "#\($0)" }[...])
        #expect(page.all("html").first?.attributes["lang"] == "en")
        #expect(page.all("title").first?.text == "Merge of 3 models by kfac")
        #expect(page.all("h1").map(\.text) == ["Merge of 3 models by kfac"])
    }

    @Test func `sections exist only for what the job has`() {
        #expect(PageTables(.plain).page.sections == ["tasks", "merge", "settings", "inputs", "run"])
        let curvature = PageTables(.curvature).page
        #expect(!curvature.sections.contains("merge"))
        #expect(curvature.all("h1").map(\.text) == ["Curvature of 3 tasks"])
        let empty = PageReader(JobReportPage(report: .object([])).html)
        #expect(empty.problem == nil)
        #expect(empty.sections.isEmpty)
        for odd in [JSONValue.null, "text", .object([.init("layers", "no list"), .init("run", .array([.null]))])] {
            #expect(PageReader(JobReportPage(report: odd).html).problem == nil)
        }
    }

    @Test func `compressed matrices have their error, eigenvalues and shift`() throws {
        let members: [(String, JSONValue)] = [
            ("file", "factors/alpha"), ("tensor", "fc.A"), ("relative_error", .number("0.0125")),
            ("smallest_eigenvalue", .number("0")), ("mean_eigenvalue", .number("4")), ("shift", .number("0.5")),
        ]
        let matrix = JSONValue.object(members.map { JSONValue.Member($0, $1) })
        let section = JSONValue.object([.init("form", "int8"), .init("matrices", .array([matrix]))])
        let page = PageReader(JobReportPage(report: .object([.init("compression", section)])).html)
        #expect(page.problem == nil)
        #expect(page.sections == ["compression"])
        #expect(page.all("th").map(\.text).prefix(6) == ["matrix", "file", "error", "smallest", "mean", "shift"])
        let cells = page.all("td").map(\.text) + page.all("th").map(\.text)
        for text in ["fc.A", "factors/alpha", "1.3 %", "4.00", "0.500"] { #expect(cells.contains(text), "\(cells)") }
    }

    @Test func `pseudo-rows of finished factors have a rank alone, and without a floor no factors are stored`() throws {
        func object(_ members: [(String, JSONValue)]) -> JSONValue {
            .object(members.map { JSONValue.Member($0, $1) })
        }
        func side(_ members: [(String, String)]) -> JSONValue { object(members.map { ($0, .number($1)) }) }
        let captured = side([("rows", "40"), ("rank", "7"), ("kept", "0.5"), ("relative_error", "0.25")])
        let finished = side([("rank", "9"), ("kept", "0.75")])
        let tasks = [("beta", captured), ("alpha", finished)].map { name, side in
            object([("name", .string(name)), ("inputs", side), ("gradients", side)])
        }
        let section = object([
            ("floor", "none"), ("storage", side([("rows", "1200"), ("factors", "0")])), ("tasks", .array(tasks)),
        ])
        let page = PageReader(JobReportPage(report: object([("pseudo_rows", section)])).html)
        #expect(page.problem == nil)
        #expect(page.sections == ["pseudo-rows"])
        let cells = page.all("td").map(\.text) + page.all("th").map(\.text)
        for text in ["7 of 40", "9", "50.0 %", "75.0 %", "25.0 %"] { #expect(cells.contains(text), "\(cells)") }
        let caption = try #require(page.all("caption").first?.text)
        #expect(caption.contains("and no factors are stored"), "\(caption)")
    }

    @Test func `penalties of joint rows say what a layer's part is`() throws {
        func object(_ members: [(String, JSONValue)]) -> JSONValue {
            .object(members.map { JSONValue.Member($0, $1) })
        }
        let penalties = object([("alpha", object([("fc", .number("-0.5")), ("norm", .number("2"))]))])
        for (isJoint, rows) in [(true, object([("floor", "none")])), (false, .null)] {
            let report = object([("penalties", penalties), ("pseudo_rows", rows)])
            let page = PageReader(JobReportPage(report: report).html)
            #expect(page.problem == nil)
            let cells = page.all("td").map(\.text) + page.all("th").map(\.text)
            for text in ["alpha", "1.50", "norm", "2.00"] { #expect(cells.contains(text), "\(cells)") }
            let caption = try #require(page.all("caption").first?.text)
            let remark = "Joint rows have one sum over all layers: a layer’s part is its share of it"
            #expect(caption.contains(remark) == isJoint, "\(caption)")
        }
    }

    @Test func `equal reports have equal pages, and the run changes only its own parts`() throws {
        var other = SampleReport.small
        other.jobFile = "other"
        let (first, second) = (
            JobReportPage(report: SampleReport.small.value).html, JobReportPage(report: other.value).html
        )
        #expect(first == JobReportPage(report: SampleReport.small.value).html)
        #expect(first != second)
        func withoutRun(_ html: String) throws -> String {
            let section = try #require(html.range(of: "<section id=\"run\">"))
            return String(html[..<section.lowerBound])
        }
        #expect(try withoutRun(first) == withoutRun(second))
    }

    @Test func `the head states the method, its paper, its α and the damping`() {
        let facts = zip(small.page.all("dt").map(\.text), small.page.all("dd").map(\.text)).map { "\($0): \($1)" }
        #expect(facts.contains("α: 0.3"))
        #expect(facts.contains("Base: /models/base.safetensors"))
        #expect(facts.contains("Damping: relative, 0.1"))
        #expect(facts.contains { $0.hasPrefix("Paper: ") })
        #expect(facts.contains("group 1: strength 2.5, 1 layer: head"))
        #expect(
            small.page.all("p").contains {
                $0.text == "Computed by kfacd 0.1.0: 27 units, which took 3 min 20 s together."
            })
    }

    @Test func `warnings come first, each with its word`() {
        let items = small.page.all("li").filter { ["warning", "notice"].contains($0.attributes["class"]) }
        #expect(items.map { String($0.text.prefix(20)) } == ["Warning: the damping", "Notice: the head of "])
    }

    @Test func `tasks have their weights, samples and curvature`() throws {
        #expect(
            try small.rows("Weight is the factor") == [
                ["task", "model", "weight", "samples", "weight of curvature"],
                ["alpha", "yes", "0.5", "12\u{202F}800", "128"], ["beta", "yes", "0.5", "12\u{202F}800", "128"],
                ["gamma", "yes", "by tensor", "12\u{202F}800", "128"],
            ])
    }

    @Test func `the heat map and the matrix have I and I over the diagonal`() throws {
        // I[0][1] = 0.25 · 1 · 2, and I[1][1] = 8.
        #expect(
            try small.rows("Relative to") == [
                ["vector ↓ task →", "alpha", "beta", "gamma"], ["alpha", "1.00", "0.06", "0.06"],
                ["beta", "0.13", "1.00", "0.13"], ["gamma", "0.19", "0.19", "1.00"],
            ])
        #expect(
            try small.rows("As measured").dropFirst() == [
                ["alpha", "4.00", "0.500", "0.750"], ["beta", "0.500", "8.00", "1.50"],
                ["gamma", "0.750", "1.50", "12.0"],
            ])
        // The second of four layers has three of six parts of each entry.
        #expect(
            try small.rows("Where the interference").dropFirst().first == [
                "blocks.0.fc2", "50.0 %", "beta", "gamma", "0.750",
            ])
        #expect(try small.rows("Ω of each").last == ["gamma", "2.75", "blocks.0.fc2", "2.25"])
    }

    @Test func `the merged tensors are counted by state and by model`() throws {
        #expect(
            try small.rows("Changed tensors").dropFirst().map { Array($0.prefix(2)) } == [
                ["changed", "5"], ["changed, merged by weighted mean", "1"], ["changed, merged with factors", "4"],
                ["unchanged", "1"], ["copied", "1"], ["copied, not floating point", "1"],
            ])
        #expect(
            try small.rows("A model of which").dropFirst() == [
                ["alpha", "48", "47", "7", "lora.a, lora.b, …"], ["beta", "48", "46", "0", "–"],
                ["gamma", "48", "45", "0", "–"],
            ])
        #expect(try small.rows("These tensors keep").last == ["position_ids", "alpha"])
        #expect(try small.rows("These values were merged").last == ["embed.weight", "base", "3"])
        #expect(try small.rows("Checkpoints tie").last == ["lm_head.weight", "embed.weight", "alpha"])
        #expect(try small.rows("Kept is").dropFirst().first == ["blocks.0.fc1", "0.800", "1.00", "80.0 %"])
    }

    @Test func `factors have their dimensions, numbers and traces`() throws {
        // 25 · 26 / 2 + 48 · 49 / 2, and 25 + 48 · 49 / 2 with a diagonal A.
        #expect(
            try small.rows("A is the factor").dropFirst() == [
                ["blocks.0.fc1", "A 25 × 25; B 48 × 48", "1501", "20.5 to 22.5", "20.5 to 22.5", "–", "–"],
                ["blocks.0.fc2", "A 25, diagonal; B 48 × 48", "1201", "20.5 to 22.5", "20.5 to 22.5", "–", "alpha"],
                ["head", "A 25 × 25; B 48 × 48", "1501", "20.5 to 22.5", "20.5 to 22.5", "–", "–"],
                ["norm.weight", "F 48 × 48", "1176", "–", "–", "20.5 to 22.5", "–"],
            ])
        #expect(small.page.all("p").contains { $0.text.hasSuffix("so they have no factors: unreached.weight.") })
    }

    @Test func `the error of equation 8 has its range over the targets`() throws {
        #expect(
            try small.rows("How far the accumulated") == [
                ["layer", "least", "largest", "for target"], ["blocks.0.fc1", "1.0 %", "3.0 %", "gamma"],
                ["blocks.0.fc2", "2.0 %", "6.0 %", "gamma"], ["head", "3.0 %", "9.0 %", "gamma"],
            ])
    }

    @Test func `damping and condition are marked in words`() throws {
        let rows = try small.rows("The damping that the rule gave")
        #expect(rows[0].last == "mark")
        #expect(
            rows[1] == ["blocks.0.fc1", "A", "alpha", "0.0940", "0.940", "100.0 %", "136", "2", "raised"])
        #expect(rows.first { $0[0] == "head" }?.last == "ill-conditioned")
        #expect(rows.first { $0[0] == "blocks.0.fc2" }?.last == "–")
        #expect(
            rows.last { $0[0] == "head" }.map { Array($0[1...5]) } == ["B", "the merge", "0.500", "0.500", "400.0 %"])
    }

    @Test func `known eigenvalues are in a table and a picture`() throws {
        #expect(
            try small.rows("The smallest and the largest")[1] == [
                "blocks.0.fc1", "A", "alpha", "2e−5", "0.940", "12.5", "17.3",
            ])
        let titles = small.page.all("svg").compactMap { $0.attributes["aria-label"] }
        #expect(titles.contains("Smallest to largest eigenvalue by factor. 7 rows, from 2e−5 to 12.5."))
        #expect(small.page.all("svg").allSatisfy { $0.attributes["role"] == "img" })
    }

    @Test func `the run has its times, executors, regimes and job file`() throws {
        #expect(
            try small.rows("Times of the units").dropFirst() == [
                ["factor", "24", "2 min 30 s", "75.0 %", "2 min 1 s"], ["merge", "3", "50 s", "25.0 %", "–"],
            ])
        #expect(try small.rows("The workers and").last == ["worker-1", "24"])
        #expect(try small.rows("Results of one regime").last == ["OpenBLAS 0.3.21 Zen", "float32", "factor 24"])
        #expect(small.page.all("pre").map(\.text) == [SampleReport.small.jobFile])
    }

    @Test func `inputs have their sizes and digests`() throws {
        let row = try small.rows("The digests are")[1]
        #expect(row[..<3] == ["/models/base.safetensors", "base", "62.4\u{A0}KiB"])
        #expect(row[3].hasPrefix("fedcba98") && row[3].count == 64)
    }
}
