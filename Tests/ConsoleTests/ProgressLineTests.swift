import Testing

@testable import Console

@Suite struct ProgressLineTests {
    private let line = ProgressLine(
        name: "job-12", share: 0.5, figures: ["50 %", "0:01:15 left", "12/40 units"],
        activity: "factors of model.language_model.layers.11.self_attn.q_proj of mathematics, rows 0 to 6000")

    @Test func `a line leaves the last column of every terminal free`() {
        for columns in 1...400 {
            for name in ["job-12", "日本語", "a-job-with-a-name-that-is-longer-than-many-terminals-are-wide"] {
                for activity in ["", "short", line.activity, "層 11 の 因子 🎉 e\u{301}e\u{301}"] {
                    for share in [nil, 0, 0.37, 1] {
                        var line = line
                        (line.name, line.activity, line.share) = (name, activity, share)
                        let text = line.text(columns: columns)
                        #expect(DisplayWidth.columns(of: text) <= max(1, columns - 1), "\(columns): \(text)")
                    }
                }
            }
        }
    }

    @Test func `what fits is told in full, with the longest bar`() {
        let bar = String(repeating: "█", count: 14) + String(repeating: "·", count: 14)
        #expect(
            line.text(columns: 300)
                == "job-12 \(bar) 50 %  0:01:15 left  12/40 units  \(line.activity)")
    }

    @Test func `the bar is shortened first, then the activity, then both are left out`() {
        #expect(
            line.text(columns: 80)
                == "job-12 ████···· 50 %  0:01:15 left  12/40 units  factors of model.language_mod…")
        #expect(line.text(columns: 80).hasPrefix("job-12 ████···· 50 %"))
        // No room for a word of the activity: the bar takes it.
        let bar = String(repeating: "█", count: 9) + String(repeating: "·", count: 10)
        #expect(line.text(columns: 60) == "job-12 \(bar) 50 %  0:01:15 left  12/40 units")
        #expect(line.text(columns: 40) == "job-12  50 %  0:01:15 left  12/40 units")
        #expect(line.text(columns: 20) == "job-12  50 %")
    }

    @Test func `what is in the way is told before the figures are complete`() {
        let paused = ProgressLine(name: "job-1", share: nil, figures: ["45 %"], activity: "paused: no room on /var")
        #expect(paused.text(columns: 80) == "job-1 45 % paused: no room on /var")
        #expect(paused.text(columns: 20) == "job-1 45 % paused:…")
    }

    @Test func `a log gets the whole line without a bar`() {
        #expect(line.plain == "job-12  50 %  0:01:15 left  12/40 units  \(line.activity)")
        #expect(!line.plain.contains("█"))
    }
}
