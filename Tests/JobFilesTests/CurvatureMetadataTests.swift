import Identifiers
import JobFiles
import SystemPackage
import TestSupport
import Testing

/// Metadata of factor, regularizer and inverse files, as strings and as values.
struct CurvatureMetadataTests {
    private let digest = BlobDigest(hexadecimal: String(repeating: "ab", count: 32))

    @Test func `factors keep their metadata`() throws {
        let metadata = FactorsMetadata(
            task: "t",
            sampleCounts: .each(["b": 2, "a": 1]),
            rowCounts: .each(["b": 0, "a": 3]),
            normalization: "reduce",
            hasBias: ["b": false, "a": true],
            weight: 0.5,
            baseDigest: digest
        )
        #expect(metadata.strings["samples"] == #"{"a":1,"b":2}"#)
        #expect(metadata.strings["rows"] == #"{"a":3,"b":0}"#)
        #expect(metadata.strings["bias"] == #"{"a":true,"b":false}"#)
        #expect(try FactorsMetadata(parsing: metadata.strings, file: "f") == metadata)
    }

    @Test func `rows may be one number, or absent`() throws {
        var metadata = FactorsMetadata(task: "t", sampleCounts: .all(2), rowCounts: .all(7), normalization: "tak")
        #expect(metadata.strings["rows"] == "7")
        #expect(try FactorsMetadata(parsing: metadata.strings, file: "f") == metadata)
        metadata.rowCounts = nil
        #expect(metadata.strings["rows"] == nil)
        #expect(try FactorsMetadata(parsing: metadata.strings, file: "f") == metadata)
    }

    @Test(arguments: ["0", "-1", "[]", "many", #"{"l":-1}"#, #"{"l":"1"}"#])
    func `rows must be counts`(text: String) {
        let metadata = ["samples": "1", "rows": text]
        #expect(
            errorMessage { () throws(JobFileError) in _ = try FactorsMetadata(parsing: metadata, file: "f") }
                == "f: metadata \"rows\" is \"\(text)\"; expected a whole number of at least 1, or an object of whole "
                + "numbers by layer. Write the file again with it."
        )
    }

    @Test func `factors keep what they state of their joint rows, with a share that is rounded above 1`() throws {
        var metadata = FactorsMetadata(task: "a", sampleCounts: .all(4), normalization: "expand")
        metadata.jointRows = JointRowsMetadata(
            ranks: .init(inputs: 5, gradients: 7), kept: .init(inputs: 0.25, gradients: 1.000_01))
        let read = try FactorsMetadata(parsing: metadata.strings, file: "a.safetensors")
        #expect(read == metadata)
    }

    @Test func `files state how positions were pooled`() throws {
        var factors = FactorsMetadata(task: "a", sampleCounts: .all(4), normalization: "expand")
        factors.jointRows = JointRowsMetadata(
            ranks: .init(inputs: 5, gradients: 7), kept: .init(inputs: 0.25, gradients: 1),
            buckets: PositionBuckets(codebook: "c0de", layers: ["l", "m"]))
        #expect(try FactorsMetadata(parsing: factors.strings, file: "a.safetensors") == factors)
        #expect(
            factors.strings["joint_rows"]?.contains(#""buckets":{"codebook":"c0de","layers":["l","m"]}"#) == true)
        var regularizer = RegularizerMetadata(
            target: "all", form: "pseudo_rows", scale: "paper", tasks: ["a"], lambda: ["a": 1],
            normalization: "expand")
        regularizer.jointRows = factors.jointRows
        regularizer.jointRows?.floor = "complement"
        regularizer.jointRows?.buckets = PositionBuckets(
            codebook: "c0de", layers: ["l", "m"], rowsPerSample: ["l": 10.5, "m": 3])
        #expect(try RegularizerMetadata(parsing: regularizer.strings, file: "f") == regularizer)
        #expect(regularizer.strings["buckets"] == #"{"codebook":"c0de","rows":{"l":10.5,"m":3.0}}"#)
    }

    @Test(arguments: [#"{"rows":{}}"#, #"{"codebook":"c","rows":{"l":0}}"#, #"{"codebook":"c","rows":["l"]}"#, "[]"])
    func `buckets of a regularizer have a codebook, and rows above 0`(text: String) throws {
        var metadata = RegularizerMetadata(
            target: "all", form: "pseudo_rows", scale: "paper", tasks: ["a"], lambda: ["a": 1],
            normalization: "expand")
        metadata.jointRows = JointRowsMetadata(
            ranks: .init(inputs: 5, gradients: 7), kept: .init(inputs: 0.25, gradients: 1), floor: "none")
        let strings = metadata.strings.merging(["buckets": text]) { _, new in new }
        let error = #expect(throws: JobFileError.self) { try RegularizerMetadata(parsing: strings, file: "f") }
        let message = try #require(error).description
        #expect(message.contains("the rows of a sample by layer, above 0"), "\(message)")
    }

    @Test(arguments: [
        #"{"ranks":{"inputs":5,"gradients":7},"kept":{"inputs":0.5,"gradients":1.01}}"#,
        #"{"ranks":{"inputs":5,"gradients":7},"kept":{"inputs":-0.5,"gradients":1}}"#,
        #"{"ranks":{"inputs":5,"gradients":7}}"#, #"{"ranks":{"inputs":5},"kept":{"inputs":1,"gradients":1}}"#,
        #"{"ranks":{"inputs":5,"gradients":7.5},"kept":{"inputs":1,"gradients":1}}"#,
    ])
    func `ranks are whole numbers, and kept shares lie between 0 and 1`(text: String) {
        let error = #expect(throws: JobFileError.self) {
            try FactorsMetadata(
                parsing: ["format": "kfacd.factors/1", "samples": "4", "joint_rows": text], file: "a.safetensors")
        }
        #expect(
            error?.description.contains(
                "an object of \"ranks\", whole numbers \"inputs\" and \"gradients\", and \"kept\", numbers \"inputs\" and "
                    + "\"gradients\" from 0 to 1") == true, "\(String(describing: error))")
    }

    @Test func `a regularizer says which tasks have no curvature in a layer`() throws {
        let metadata = RegularizerMetadata(
            target: "all", form: "accumulated", scale: "paper", tasks: ["b", "a"], lambda: ["a": 0.25, "b": 0.75],
            normalization: "tak", missingTasks: ["m": ["b"], "l": ["b", "a"]])
        #expect(metadata.strings["missing_curvature"] == #"{"l":["b","a"],"m":["b"]}"#)
        #expect(try RegularizerMetadata(parsing: metadata.strings, file: "f") == metadata)
        var strings = metadata.strings
        strings["missing_curvature"] = #"{"l":["b",1]}"#
        #expect(
            errorMessage { () throws(JobFileError) in _ = try RegularizerMetadata(parsing: strings, file: "f") }
                == "f: metadata \"missing_curvature\" is \"{\"l\":[\"b\",1]}\"; expected an object of lists of task "
                + "names. Write the file again with it."
        )
    }

    @Test func `factors and captures keep the layouts that they declare, and say nothing without any`() throws {
        var factors = FactorsMetadata(task: "t", sampleCounts: .all(1), normalization: "tak")
        #expect(factors.strings["layout"] == nil)
        factors.layouts = ["b": .outIn, "a": .inOut]
        #expect(factors.strings["layout"] == #"{"a":"in_out","b":"out_in"}"#)
        #expect(try FactorsMetadata(parsing: factors.strings, file: "f") == factors)
        var capture = CaptureMetadata(sampleCount: 2)
        #expect(capture.strings["layout"] == nil)
        capture.layouts = ["a": .inOut]
        #expect(try CaptureMetadata(parsing: capture.strings, file: "f") == capture)
        let message = errorMessage { () throws(JobFileError) in
            _ = try CaptureMetadata(parsing: ["samples": "1", "layout": #"{"a":"transposed"}"#], file: "f")
        }
        #expect(message?.contains("metadata \"layout\" is") == true && message?.contains("out_in and in_out") == true)
    }

    @Test func `a regularizer keeps its metadata`() throws {
        let metadata = RegularizerMetadata(
            target: "greek",
            form: "accumulated",
            scale: "paper",
            tasks: ["b", "a"],
            lambda: ["a": 0.25, "b": 0.75],
            normalization: "tak",
            hasBias: ["l": true],
            baseDigest: digest
        )
        #expect(metadata.strings["tasks"] == #"["b","a"]"#)
        #expect(metadata.strings["lambda"] == #"{"a":0.25,"b":0.75}"#)
        #expect(metadata.strings["summed_tasks"] == "2")
        #expect(try RegularizerMetadata(parsing: metadata.strings, file: "f") == metadata)
    }

    @Test func `a regularizer keeps the layouts of its layers, and has no such key where none was declared`() throws {
        var metadata = RegularizerMetadata(
            target: "all", form: "accumulated", scale: "paper", tasks: ["a"], lambda: ["a": 1], normalization: "tak")
        #expect(metadata.strings["layout"] == nil)
        metadata.layouts = ["h.0.c_attn": .inOut, "head": .outIn]
        #expect(metadata.strings["layout"] == #"{"h.0.c_attn":"in_out","head":"out_in"}"#)
        #expect(try RegularizerMetadata(parsing: metadata.strings, file: "f") == metadata)
    }

    @Test func `a regularizer keeps the strengths of its groups, and has no such key without groups`() throws {
        var metadata = RegularizerMetadata(
            target: "all", form: "accumulated", scale: "paper", tasks: ["a"], lambda: ["a": 1], normalization: "tak")
        #expect(metadata.strings["strength"] == nil)
        metadata.strengths = ["norm.weight": 10, "head": 0]
        #expect(metadata.strings["strength"] == #"{"head":0.0,"norm.weight":10.0}"#)
        #expect(try RegularizerMetadata(parsing: metadata.strings, file: "f") == metadata)
        let strings = metadata.strings.merging(["strength": #"{"head":-1}"#]) { $1 }
        #expect(
            errorMessage { () throws(JobFileError) in _ = try RegularizerMetadata(parsing: strings, file: "f") }
                == "f: metadata \"strength\" is \"{\"head\":-1}\"; expected an object of numbers of at least 0. "
                + "Write the file again with it.")
    }

    @Test func `an optimal regularizer keeps its coefficients`() throws {
        let metadata = RegularizerMetadata(
            target: "greek",
            form: "optimal",
            scale: "mean",
            tasks: ["b", "a"],
            lambda: ["a": 0.25, "b": 0.75],
            normalization: "tak",
            hasBias: ["l": true],
            optimum: .init(
                rank: 2,
                terms: [
                    "l": [
                        .init(gradient: ["a": 0.5, "b": 1e-12], input: ["a": 0.25, "b": 0.75]),
                        .init(gradient: ["a": 0, "b": 3], input: ["a": 0, "b": 1]),
                    ]
                ],
                relativeErrors: ["l": 0.125]
            )
        )
        let strings = metadata.strings
        #expect(strings["rank"] == "2")
        #expect(
            strings["coefficients"]
                == #"{"l":[{"B":{"a":0.5,"b":1e-12},"A":{"a":0.25,"b":0.75}},{"B":{"a":0.0,"b":3.0},"A":{"a":0.0,"b":1.0}}]}"#
        )
        #expect(strings["relative_error"] == #"{"l":0.125}"#)
        #expect(try RegularizerMetadata(parsing: strings, file: "f") == metadata)
    }

    @Test(arguments: [
        "[]", #"{"l":{}}"#, #"{"l":[{"A":{"a":1}}]}"#, #"{"l":[{"A":{"a":1},"B":{"a":"1"}}]}"#, #"{"l":[1]}"#,
    ])
    func `coefficients must be lists of both sides`(text: String) {
        let metadata = [
            "target": "t", "form": "optimal", "scale": "paper", "tasks": "[]", "rank": "1", "coefficients": text,
        ]
        #expect(
            errorMessage { () throws(JobFileError) in _ = try RegularizerMetadata(parsing: metadata, file: "f") }
                == "f: metadata \"coefficients\" is \"\(text)\"; expected an object of lists of coefficients by layer. "
                + "Write the file again with it."
        )
    }

    @Test func `inverses keep their metadata`() throws {
        let metadata = InversesMetadata(target: "all", dampingRule: "pi", dampingUsed: ["l": 1e-5], baseDigest: digest)
        #expect(metadata.strings["damping_used"] == #"{"l":1e-05}"#)
        #expect(try InversesMetadata(parsing: metadata.strings, file: "f") == metadata)
        let raised = InversesMetadata(
            target: "t", dampingRule: "relative", dampingValue: 0.25, dampingAsked: ["l.A": 0],
            dampingUsed: ["l.A": 0.5])
        #expect(raised.strings["damping_value"] == "0.25")
        #expect(raised.strings["damping_asked"] == #"{"l.A":0.0}"#)
        #expect(try InversesMetadata(parsing: raised.strings, file: "f") == raised)
    }

    @Test(
        arguments: [
            (
                nil,
                "f: metadata \"samples\" is missing; expected a whole number of at least 1, or an object of such numbers. "
                    + "Write the file again with it."
            ),
            ("0", "f: was captured from 0 samples; expected at least 1. Capture it again."),
            (
                "-1",
                "f: metadata \"samples\" is \"-1\"; expected a whole number of at least 1, or an object of such numbers. "
                    + "Write the file again with it."
            ),
            (
                #"{"a":0}"#,
                "f: metadata \"samples\" is \"{\"a\":0}\"; expected a whole number of at least 1, or an object of "
                    + "such numbers. Write the file again with it."
            ),
            (
                #"{"a":1,"a":2}"#,
                "f: metadata \"samples\" is \"{\"a\":1,\"a\":2}\"; expected a whole number of at least 1, or "
                    + "an object of such numbers. Write the file again with it."
            ),
            (
                "[]",
                "f: metadata \"samples\" is \"[]\"; expected a whole number of at least 1, or an object of such numbers. "
                    + "Write the file again with it."
            ),
        ] as [(String?, String)]
    )
    func `samples of factors must be numbers`(text: String?, message: String) {
        let metadata = text.map { ["samples": $0] } ?? [:]
        #expect(
            errorMessage { () throws(JobFileError) in _ = try FactorsMetadata(parsing: metadata, file: "f") } == message
        )
    }

    @Test func `a weight must be finite`() {
        #expect(
            errorMessage { () throws(JobFileError) in
                _ = try FactorsMetadata(parsing: ["samples": "1", "weight": "inf"], file: "f")
            } == "f: metadata \"weight\" is \"inf\"; expected a finite number. Write the file again with it."
        )
    }

    @Test func `a regularizer must list its tasks`() {
        let metadata = ["target": "t", "form": "accumulated", "scale": "paper", "tasks": "[1]"]
        #expect(
            errorMessage { () throws(JobFileError) in _ = try RegularizerMetadata(parsing: metadata, file: "f") }
                == "f: metadata \"tasks\" is \"[1]\"; expected a list of task names. Write the file again with it."
        )
    }

    @Test func `inverses must say their damping`() {
        #expect(
            errorMessage { () throws(JobFileError) in
                _ = try InversesMetadata(parsing: ["target": "t", "damping": "pi"], file: "f")
            } == "f: metadata \"damping_used\" is missing; expected an object of numbers by layer. "
                + "Write the file again with it."
        )
    }
}
