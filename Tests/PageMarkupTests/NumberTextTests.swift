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

    @Test(arguments: [
        (0.0, "0"), (1, "1.00"), (9.994, "9.99"), (9.996, "10.0"), (12.345, "12.3"), (999.6, "1000"),
        (135_842, "135842"),
        (0.9996, "1.00"), (0.0940, "0.0940"), (0.000372, "0.000372"), (3.7e-5, "3.7e−5"), (2.5e6, "2.5e6"),
        (-0.5, "−0.500"), (.nan, "–"),
    ])
    func `three digits, or two and a power of ten`(value: Double, text: String) {
        #expect(NumberText.significant(value) == text)
    }

    @Test func `whole numbers have groups from five digits on`() {
        #expect(
            [0, 9999, 12_345, 1_234_567].map(NumberText.count) == [
                "0", "9999", "12\u{202F}345", "1\u{202F}234\u{202F}567",
            ])
        #expect(NumberText.count(-12_345) == "−12\u{202F}345")
        #expect(NumberText.count(Int.min).count == 26)
    }

    @Test(arguments: [(0.0, "0"), (1023, "1023"), (63_928, "62.4 KiB"), (1_048_576, "1.00 MiB"), (3e12, "2.73 TiB")])
    func `bytes have the unit that suits them`(count: Double, text: String) {
        let expected = (text.contains("B") ? text : "\(text) bytes").replacing(" ", with: "\u{A0}")
        #expect(NumberText.bytes(count) == expected)
    }

    @Test(arguments: [
        (0.0125, "12.5 ms"), (119, "119 s"), (200, "3 min 20 s"), (7199.6, "2 h 0 min"), (90_061, "25 h 1 min"),
        (-1, "–"),
    ])
    func `long durations have minutes and hours`(seconds: Double, text: String) {
        #expect(NumberText.duration(seconds: seconds) == text)
    }
}
