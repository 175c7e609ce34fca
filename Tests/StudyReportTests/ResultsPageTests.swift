import TestSupport
import Testing

@testable import StudyReport

struct ResultsPageTests {
    private func read(
        _ description: StudyDescription = SampleStudy.description,
        _ rows: [StudyRow] = SampleStudy.rows,
        _ figures: StudyFigures = SampleStudy.figures
    ) -> PageReader {
        PageReader(ResultsPage(description: description, rows: rows, figures: figures).html)
    }

    @Test func `a full page is well formed and has every section`() {
        let page = read()
        #expect(page.problem == nil)
        #expect(
            page.sections == [
                "addition", "tasks", "sweep", "storage", "leaks", "merges", "negation", "ablations", "disentanglement",
                "interference",
                "localisation", "cost", "settings", "notes",
            ]
        )
        #expect(page.all("a").map { $0.attributes["href"] } == page.sections.map { "#\($0)" })
    }

    @Test func `an empty study is a page without sections`() {
        let page = read(StudyDescription(title: "Empty", model: ""), [], StudyFigures())
        #expect(page.problem == nil)
        #expect(page.sections.isEmpty)
        #expect(page.all("table").isEmpty)
        #expect(page.all("h1").map(\.text) == ["Empty"])
    }

    @Test func `what was not measured is left out`() {
        #expect(
            read(SampleStudy.description, SampleStudy.merges, StudyFigures()).sections == [
                "merges", "settings", "notes",
            ])
        // One α is not a sweep.
        let rows = SampleStudy.sweep("linear", [1: 27])
        #expect(read(StudyDescription(title: "", model: ""), rows, StudyFigures()).sections == ["addition", "tasks"])
    }

    @Test func `the page loads nothing and runs nothing`() {
        let html = ResultsPage(
            description: SampleStudy.description, rows: SampleStudy.rows, figures: SampleStudy.figures
        ).html
        for word in ["<script", "<link", "<img", "@import", "url(", "src=", "onload"] {
            #expect(!html.contains(word))
        }
        let addresses = html.split(separator: "\"").filter { $0.contains("://") }
        #expect(Set(addresses) == ["http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg"])
    }

    @Test func `hostile names stay text everywhere`() {
        let name = "</title><script>alert(\"1\")</script>&'\u{0}"
        let shown = "</title><script>alert(\"1\")</script>&'\u{FFFD}"
        var description = SampleStudy.description
        description.title = name
        description.notes = [name]
        description.settings = [StudySetting(name: name, value: name)]
        let rows = SampleStudy.sweep(name, [0.5: 1, 1: 2]).map { row in
            var row = row
            row.perTask = [name: 1]
            row.note = name
            return row
        }
        let figures = StudyFigures(
            tasks: [name],
            disentanglement: [
                DisentanglementMap(method: name, firstTask: name, secondTask: name, alphas: [1], errors: [[1]])
            ],
            interference: [InterferenceMatrix(method: name, values: [[1]])]
        )
        let page = read(description, rows, figures)
        #expect(page.problem == nil)
        #expect(page.all("script").isEmpty)
        #expect(page.all("h1").map(\.text) == [shown])
        #expect(page.all("dt").contains { $0.text == shown })
        #expect(page.all("th").contains { $0.text.contains(shown) })
    }

    @Test func `tables have captions and headings with a scope`() {
        let page = read()
        #expect(page.all("caption").count == page.all("table").count)
        #expect(page.all("th").allSatisfy { ["row", "col"].contains($0.attributes["scope"]) })
        #expect(page.all("figcaption").count == page.all("figure").count)
    }

    @Test func `pictures have a title and a description unless they are ornaments`() {
        let page = read()
        let pictures = page.all("svg").filter { $0.attributes["aria-hidden"] == nil }
        #expect(pictures.count == 7)
        #expect(pictures.allSatisfy { $0.attributes["role"] == "img" && $0.attributes["aria-label"] != nil })
        #expect(page.elements.filter { $0.name == "title" && $0.path.last == "svg" }.count == pictures.count)
        #expect(page.elements.filter { $0.name == "desc" && $0.path.last == "svg" }.count == pictures.count)
    }

    @Test func `coordinates are finite and inside their picture`() throws {
        try expectInside(read())
    }

    @Test func `numbers that are none, and matrices of any form, still make a page`() throws {
        let rows =
            SampleStudy.sweep("linear", [0.5: .nan, 1: .infinity, 2: 1e300, -.infinity: 3])
            + SampleStudy.sweep("tak-accumulated", [0.5: -50, 1: 500])
        let wild = InterferenceMatrix(method: "linear", values: [[.nan, -1], [.infinity, 0]])
        let figures = StudyFigures(
            tasks: ["a", "b"],
            disentanglement: [
                DisentanglementMap(
                    method: "linear",
                    firstTask: "a",
                    secondTask: "b",
                    alphas: [.nan, 1, 1e300],
                    errors: [[.nan, 2, 3, 4, 5], [-1], [], [.infinity]]
                ),
                DisentanglementMap(method: "linear", firstTask: "a", secondTask: "b", alphas: [], errors: [[1]]),
            ],
            interference: [wild, InterferenceMatrix(method: "x", values: [[1], []])],
            localisation: [wild, InterferenceMatrix(method: "x", values: [[0, 0], [0, 0]])],
            penaltyCost: [
                PenaltyCost(taskCount: 0, accumulatedMicroseconds: 0, perTaskMicroseconds: -1),
                PenaltyCost(taskCount: .max, accumulatedMicroseconds: .nan, perTaskMicroseconds: .infinity),
            ],
            storage: [
                PenaltyStorage(method: "linear", elementCount: .max, relative: .infinity, largeRelative: .nan),
                PenaltyStorage(method: "tak-accumulated", elementCount: -1, relative: -1, largeRelative: 0),
            ],
            leaks: SampleStudy.leaks.map { leak in
                var leak = leak
                leak.nearest = .init(captured: .nan, heldOut: .infinity)
                leak.recovered = leak.recovered.map { _ in .init(side: 3, images: [1, 2], readings: [3]) }
                return leak
            }
        )
        let page = read(SampleStudy.description, rows, figures)
        #expect(page.problem == nil)
        try expectInside(page)
    }

    /// Checks every coordinate of every picture against the picture's view box.
    private func expectInside(_ page: PageReader) throws {
        var box = (width: 0.0, height: 0.0)
        for element in page.elements {
            if element.name == "svg" {
                let numbers = (element.attributes["viewBox"] ?? "").split(separator: " ").compactMap { Double($0) }
                try #require(numbers.count == 4)
                box = (numbers[2], numbers[3])
            }
            for (name, limit) in [("x", box.width), ("x1", box.width), ("x2", box.width), ("y", box.height)] {
                guard let text = element.attributes[name] else { continue }
                let value = try #require(Double(text))
                #expect((0...limit).contains(value), "\(name) of \(element.name)")
            }
            guard let path = element.attributes["d"] else { continue }
            let numbers = try path.split { "MLZA".contains($0) }.flatMap { step in
                // The last two numbers of a step are its point. Earlier ones describe the form of an arc.
                try step.split(separator: " ").suffix(2).map { try #require(Double($0)) }
            }
            for (index, number) in numbers.enumerated() {
                #expect((0...(index % 2 == 0 ? box.width : box.height)).contains(number), "path \(path)")
            }
        }
    }
}
