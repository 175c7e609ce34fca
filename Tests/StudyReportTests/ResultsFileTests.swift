import Testing

@testable import StudyReport

struct ResultsFileTests {
    @Test func `rows are written with sorted snake case keys, four decimals and no absent value`() throws {
        let row = StudyRow(
            method: "tak-accumulated",
            regime: .addition,
            seed: 2,
            alpha: 0.1,
            beta: 1e-5,
            accuracy: 66.012345678,
            normalizedAccuracy: 95.5,
            perTask: ["b/c": 50, "a": 0.1 + 0.2],
            isBestAlpha: true
        )
        #expect(
            try ResultsFile.encode([row]) == """
                {
                  "format" : "kfaclab.results/1",
                  "rows" : [
                    {
                      "accuracy" : 66.0123,
                      "alpha" : 0.1,
                      "beta" : 1e-05,
                      "is_best_alpha" : true,
                      "method" : "tak-accumulated",
                      "normalized_accuracy" : 95.5,
                      "per_task" : {
                        "a" : 0.3,
                        "b/c" : 50
                      },
                      "regime" : "addition",
                      "seed" : 2
                    }
                  ]
                }

                """
        )
    }

    @Test func `rows and figures are read back as they were`() throws {
        #expect(try ResultsFile.decode(ResultsFile.encode(SampleStudy.rows)) == SampleStudy.rows.map(\.roundedForFile))
        #expect(try FiguresFile.decode(FiguresFile.encode(SampleStudy.figures)) == SampleStudy.figures)
    }

    @Test func `reading and writing again changes nothing`() throws {
        let text = try ResultsFile.encode(SampleStudy.rows)
        #expect(try ResultsFile.encode(ResultsFile.decode(text)) == text)
    }

    @Test func `rows of an earlier version, which stated none, are read`() throws {
        let text = try ResultsFile.encode(SampleStudy.rows)
        let start = try #require(text.firstIndex(of: "["))
        let end = try #require(text.lastIndex(of: "]"))
        #expect(try ResultsFile.decode(String(text[start...end])) == SampleStudy.rows.map(\.roundedForFile))
    }

    @Test func `rows of a later version are refused with both versions`() {
        #expect(
            refusal("{\"format\": \"kfaclab.results/2\", \"lines\": []}")
                == "results.json: is of the format \"kfaclab.results/2\", which a later version of kfacd wrote; this one "
                + "reads \"kfaclab.results/1\". Use the version that wrote it, or a later one.")
        #expect(
            refusal("{\"rows\": []}")
                == "results.json: states no format; expected \"kfaclab.results/1\". It is damaged, or no file of kfacd."
        )
    }

    @Test func `every regime is written as one word`() {
        let words = ["pretrained", "individual", "addition", "negation", "merge", "ablation"]
        #expect(StudyRegime.allCases.map(\.rawValue) == words)
    }

    @Test func `a diverged run does not keep the others from being written`() throws {
        let rows = [
            StudyRow(method: "linear", regime: .addition, accuracy: .nan, control: -.infinity, seconds: .infinity)
        ]
        let text = try ResultsFile.encode(rows)
        #expect(text.contains("\"accuracy\" : \"NaN\""))
        let read = try #require(try ResultsFile.decode(text).first)
        #expect(read.accuracy.isNaN)
        #expect(read.control == -.infinity)
        #expect(read.seconds == .infinity)
    }

    @Test(arguments: [
        (0.0, 0.0), (0.123456, 0.1235), (-66.66666, -66.6667), (0.000123456, 0.0001235), (1e12, 1e12), (99.99999, 100),
    ])
    func `numbers keep four decimals, small ones four digits`(value: Double, rounded: Double) {
        #expect(value.roundedForFile == rounded)
    }

    @Test func `text that is not JSON is refused`() {
        #expect(refusal("[{") == "results.json: the text is not JSON; expected what kfaclab writes. Reproduce it.")
    }

    @Test func `a missing value is refused with its entry`() {
        let text = #"[{"method": "linear", "regime": "addition", "per_task": {}, "is_best_alpha": false}]"#
        #expect(
            refusal(text)
                == "results.json: entry 1: \"accuracy\" is missing; expected what kfaclab writes. Reproduce it."
        )
    }

    @Test func `a value of another type is refused with its place`() {
        let text = #"[{"method": 7, "regime": "addition", "accuracy": 1, "per_task": {}, "is_best_alpha": false}]"#
        #expect(
            refusal(text) == "results.json: entry 1, \"method\": the value is not of type String; "
                + "expected what kfaclab writes. Reproduce it."
        )
    }

    @Test func `an unknown regime is refused with its place`() {
        let text = #"[{"method": "a", "regime": "guess", "accuracy": 1, "per_task": {}, "is_best_alpha": false}]"#
        #expect(
            refusal(text) == "results.json: entry 1, \"regime\": the value is none of those known; "
                + "expected what kfaclab writes. Reproduce it."
        )
    }

    @Test func `null is refused where a value must stand`() {
        let text = #"[{"method": null, "regime": "addition", "accuracy": 1, "per_task": {}, "is_best_alpha": false}]"#
        #expect(
            refusal(text) == "results.json: entry 1, \"method\": null stands where String must; "
                + "expected what kfaclab writes. Reproduce it."
        )
    }

    @Test func `what cannot be written is a defect of ours`() {
        let error = StudyReportError.unwritable(file: "figures.json", problem: "no space")
        #expect(
            error.description == "figures.json: cannot be written as JSON: no space; expected numbers and text. "
                + "Report this as a defect."
        )
    }

    private func refusal(_ text: String) -> String? {
        do throws(StudyReportError) {
            _ = try ResultsFile.decode(text)
            return nil
        } catch {
            return error.description
        }
    }
}
