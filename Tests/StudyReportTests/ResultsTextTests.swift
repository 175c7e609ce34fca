import PageMarkup
import Testing

@testable import StudyReport

struct ResultsTextTests {
    @Test func `plain text has its decimals under each other`() {
        let rows =
            [SampleStudy.pretrained] + SampleStudy.sweep("linear", [0.1: 65, 1: 7], best: 0.1)
            + SampleStudy.sweep("tak-accumulated", [0.75: 66.5, 1: 66], beta: 100, ceiling: 69, best: 0.75)
        #expect(
            ResultsText(rows: rows).text.hasPrefix(
                """
                Task addition
                method                                     α = 1  own ceiling  best α     at best α  normalised, α = 1  seeds
                ──────────────────────────────────  ────────────  ───────────  ──────  ────────────  ─────────────────  ─────
                Pre-trained                         60.0              –             –     –                    –            –
                Linear fine-tuning, no regularizer   7.0 ± 1.0     75.0 ± 0.0    0.10  65.0 ± 1.0            9.3 ± 1.3      3
                TAK accumulated (eq. 8), β = 100    66.0 ± 1.0 *   69.0 ± 0.0    0.75  66.5 ± 1.0 *         95.7 ± 1.4      3
                * the best of the methods that need no data of other tasks


                """.dropLast(1))
        )
    }

    @Test func `every row of a table has the gaps of the rule`() {
        let tables = ResultsText(rows: SampleStudy.rows).text.split(separator: "\n\n")
        #expect(tables.count == 5)
        for table in tables {
            let lines = table.split(separator: "\n").map(Array.init)
            let gaps = lines[2].indices.filter { lines[2][$0] == " " }
            for line in lines.dropFirst() where line.first != "*" {
                #expect(gaps.allSatisfy { $0 >= line.count || line[$0] == " " }, "\(String(line))")
            }
        }
    }

    @Test func `Markdown has a heading, an aligned table and bold numbers`() {
        #expect(
            ResultsText(rows: SampleStudy.merges).markdown == """
                ### Post-hoc merges

                | method | α = 1 | seconds | seeds |
                | --- | ---: | ---: | ---: |
                | Mean | 65.5 | 0.2 | 1 |
                | K-FAC merge, damping = 0.01 | **67.5** | – | 1 |

                Vectors that were fine-tuned without a regularizer, combined afterwards: accuracy in percent, mean over \
                the tasks. Numbers with ± are mean and sample standard deviation over the seeds; those without ± are \
                single measurements. In bold: the best.

                """
        )
    }

    @Test func `names cannot break a Markdown table`() {
        let row = StudyRow(method: "a|b\n<i>*`[x](y)", regime: .merge, alpha: 1, accuracy: 1)
        let line = ResultsText(rows: [row]).markdown.split(separator: "\n").first { $0.contains("1.0") }
        #expect(line == #"| a\|b &lt;i>\*\`\[x\](y) | 1.0 |"#)
    }

    @Test func `names cannot move a terminal's cursor`() {
        let row = StudyRow(method: "a\u{1B}[2J\r\nb\u{202E}", regime: .merge, alpha: 1, accuracy: 1)
        let text = ResultsText(rows: [row]).text
        #expect(text.contains("a [2J  b"))
        #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || !$0.isControl })
    }

    @Test func `no rows make no text`() {
        #expect(ResultsText(rows: []).text == "")
        #expect(ResultsText(rows: []).markdown == "")
    }
}
