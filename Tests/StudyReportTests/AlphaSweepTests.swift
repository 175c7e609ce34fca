import TestSupport
import Testing

@testable import StudyReport

struct AlphaSweepTests {
    @Test func `a sweep is a well-formed picture on its own ground, with a line for each method`() throws {
        let svg = try #require(AlphaSweep(rows: SampleStudy.addition).svg)
        let picture = PageReader(svg)
        #expect(picture.problem == nil)
        #expect(svg.hasPrefix("<svg "))
        #expect(picture.all("rect").first?.attributes["fill"] == "#ffffff")
        #expect(picture.all("g").count == Set(SampleStudy.addition.map(\.method)).count - 1)
        #expect(picture.all("text").map(\.text).contains("zero-shot 60.0"))
    }

    @Test func `one α is no sweep`() {
        #expect(AlphaSweep(rows: SampleStudy.sweep("linear", [1: 27])).svg == nil)
        #expect(AlphaSweep(rows: []).svg == nil)
    }
}
