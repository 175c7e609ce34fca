import Testing

@testable import PageMarkup

struct NumberTextTests {
    @Test(arguments: [
        (66.04, 1, "66.0"), (66.05001, 1, "66.1"), (-0.7, 1, "−0.7"), (-0.04, 1, "0.0"), (0.999, 2, "1.00"),
        (7, 0, "7"), (.nan, 1, "–"), (.infinity, 1, "–"), (1e13, 1, "1e13"), (12.5, 99, "12.500000"),
    ])
    func `a fixed number of decimals`(value: Double, decimals: Int, text: String) {
        #expect(NumberText.fixed(value, decimals) == text)
    }

    @Test(arguments: [(0.6, "+0.6"), (-0.6, "−0.6"), (0.0, "0.0"), (0.01, "0.0"), (.nan, "–")])
    func `a difference has a sign unless it is zero as shown`(value: Double, text: String) {
        #expect(NumberText.signed(value) == text)
    }

    @Test(arguments: [
        (0.0, "0"), (100, "100"), (0.25, "0.25"), (0.1 + 0.2, "0.3"), (1e-5, "1e−5"), (-2.5e-7, "−2.5e−7"),
        (3e14, "3e14"),
    ])
    func `as many decimals as a number has`(value: Double, text: String) {
        #expect(NumberText.plain(value) == text)
    }

    @Test func `values that differ are a range with common decimals`() {
        #expect(NumberText.range([0.25, 0.1], decimals: 2) == "0.10–0.25")
        #expect(NumberText.range([100, 100]) == "100")
        #expect(NumberText.range([]) == nil)
    }

    @Test(arguments: [(812.4, "812 µs"), (1600, "1.6 ms"), (52_340, "52.3 ms"), (2e6, "2 s")])
    func `durations have the unit that suits them`(microseconds: Double, text: String) {
        #expect(NumberText.duration(microseconds: microseconds) == text)
    }
}
