import Testing

@testable import JobPlan

/// Lists of patterns, in which `!` leaves names out.
@Suite struct NamePatternTests {
    private static let names = ["blocks.0.fc", "blocks.0.head", "blocks.1.fc", "norm", "!odd"]

    private func patterns(_ written: [String]) -> NamePatterns {
        NamePatterns(written.enumerated().map { Located($1, at: "job.yaml:1:\($0)") })
    }

    @Test(arguments: [
        (["blocks.*"], [0, 1, 2]), (["blocks.*", "!*.head"], [0, 2]), (["!*.head"], [0, 2, 3, 4]),
        (["!blocks.*", "!norm"], [4]), (["*", "!blocks.*", "blocks.1.*"], [2, 3, 4]), (["\\!odd"], [4]), ([], []),
        (["!*.head", "blocks.*"], [0, 1, 2]), (["!!odd"], [0, 1, 2, 3]),
    ])
    func `the last pattern that matches decides, and only exceptions take all other names`(
        written: [String], taken: [Int]
    ) {
        let patterns = patterns(written)
        #expect(Self.names.filter(patterns.takes) == taken.map { Self.names[$0] })
    }

    @Test func `patterns without effect are named with the reason`() {
        func found(_ written: String...) -> [String] {
            patterns(written).problems(among: Self.names, of: "layers", matching: "none of 5").map(\.description)
        }
        #expect(found("blocks.*", "!*.head") == [])
        #expect(
            found("blokcs.0.fc", "!norn", "norm") == [
                "job.yaml:1:0: the pattern \"blokcs.0.fc\" of \"layers\" matches none of 5. Did you mean \"blocks.0.fc\"?",
                "job.yaml:1:1: the pattern \"!norn\" of \"layers\" matches none of 5. Did you mean \"norm\"?",
            ])
        #expect(
            found("!*.head", "blocks.*") == [
                "job.yaml:1:0: the pattern \"!*.head\" of \"layers\" leaves out nothing: no earlier pattern takes a name that "
                    + "it matches. Write it after the pattern that does, or remove it."
            ])
    }

    @Test(arguments: [
        ("ignore: [norm, !*.head]", "!*.head"), ("ignore: [norm, *.head]", "*.head"), ("ignore: *head", "*head"),
    ])
    func `a pattern that YAML cannot read without quotes is told to be quoted`(line: String, pattern: String) {
        let found = problems(in: JobFileText(rest: [line]).yaml)
        #expect(found.count == 1)
        #expect(found.first?.contains("not valid YAML: ") == true)
        #expect(
            found.first?.hasSuffix(" A name that begins with \"!\" or \"*\" needs quotes: \"\(pattern)\".") == true,
            "\(found)")
    }

    @Test func `a pattern that YAML reads as a tag is told to be quoted`() {
        #expect(
            problems(in: JobFileText(rest: ["ignore:", "  - norm", "  - !head"]).yaml) == [
                "job.yaml:8:5: \"ignore\" holds !head, which YAML reads as a tag because of its \"!\". Write it in quotes: "
                    + "\"!head\"."
            ])
    }

    @Test func `quoted patterns are read as they are written`() throws {
        let spec = try JobFileText(rest: ["ignore: [\"*\", '!*.head']", "kfac: {layers: ['!x']}"]).spec()
        #expect(spec.ignored.map(\.value) == ["*", "!*.head"])
        #expect(spec.curvature.layers?.map(\.value) == ["!x"])
    }
}
