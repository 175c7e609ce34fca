/// The value of `run-expiry`: a number with its unit, or `never`.
struct RunExpiry: Equatable {
    static let expectation = "expected a number from 1 to 100000 with s, m, h or d behind it, such as 7d, or never."

    /// The time; nil for never.
    let time: Duration?

    /// Reads a value; nil for any other text.
    init?(_ text: String) {
        guard text != "never" else {
            time = nil
            return
        }
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last.flatMap({ units[$0] }), text.dropLast().allSatisfy({ "0"..."9" ~= $0 }),
            let number = Int(text.dropLast()), (1...100_000).contains(number)
        else { return nil }
        time = .seconds(number * unit)
    }
}
