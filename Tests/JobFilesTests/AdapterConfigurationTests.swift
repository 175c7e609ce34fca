import FileAccess
import JobFiles
import SystemPackage
import TestSupport
import Testing

/// The settings of an adapter, and the names of its tensors.
@Suite struct AdapterConfigurationTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func configuration(_ members: String) throws -> AdapterConfiguration {
        try directory.write(
            Array("{\"peft_type\": \"LORA\"\(members.isEmpty ? "" : ", ")\(members)}".utf8), to: "adapter_config.json")
        return try AdapterConfiguration(in: FilePath(directory.path), within: .unlimited)
    }

    @Test(arguments: [
        ("", 4, 2), (#""lora_alpha": 16, "r": 64"#, 4, 4), (#""lora_alpha": 16, "use_rslora": true"#, 4, 8),
        (#""use_rslora": null, "lora_alpha": 1.5"#, 3, 0.5),
    ])
    func `the scale is alpha by the rank of the factors, or by its root`(
        members: String, rank: Int, scale: Double
    ) throws {
        let found = try configuration(members)
        let alpha = try #require(try found.alphas(of: ["model.q"])["model.q"])
        #expect(found.scale(alpha: alpha, rank: rank) == scale)
    }

    @Test(arguments: [
        ("model.layers.3.q_proj", 1), ("model.layers.13.q_proj", 2), ("model.layers.3.xq_proj", 8), ("k", 4),
        ("model.k", 4), ("model.kk", 8), ("model.layers.3.q_proj.sub", 8),
    ])
    func `a pattern fits the end of a module's path, and the first counts`(module: String, alpha: Double) throws {
        let found = try configuration(
            #""alpha_pattern": {"layers\\.[0-9]\\.q_proj": 1, "q_proj": 2, "k|v": 4, "v": 9}"#)
        #expect(try found.alphas(of: [module]) == [module: alpha])
    }

    @Test func `r is that of the first pattern that fits, and unknown where the file states none`() throws {
        let stated = try configuration(#""r": 16, "rank_pattern": {"q|k": 4, "layers\\.1\\.q": 2}"#)
        #expect(try stated.ranks(of: ["layers.1.q", "layers.1.v"]) == ["layers.1.q": 4, "layers.1.v": 16])
        let silent = try configuration(#""rank_pattern": {"q": 4}"#)
        #expect(try silent.ranks(of: ["layers.1.q", "layers.1.v"]) == ["layers.1.q": 4])
    }

    @Test(arguments: [
        (#""target_modules": ["q", "attn.v"]"#, [true, true, true, true, false]),
        (#""target_modules": ["q"], "layers_to_transform": [1]"#, [false, true, false, false, false]),
        (
            #""target_modules": ["q"], "layers_to_transform": 0, "layers_pattern": "h""#,
            [false, false, false, true, false]
        ),
        (#""target_modules": ["q"], "exclude_modules": ["k"]"#, [true, true, false, true, false]),
        (#""target_modules": "all-linear""#, [true, true, true, true, true]), ("", [true, true, true, true, true]),
    ])
    func `the settings name modules by the ends of their paths, and by layers`(
        members: String, expected: [Bool]
    ) throws {
        let found = try configuration(members)
        let modules = [
            "model.layers.0.q", "model.layers.1.attn.q", "model.layers.0.attn.v", "model.h.0.layers.1x.q",
            "model.layers.1.xq",
        ]
        #expect(modules.map(found.names) == expected)
    }

    @Test func `settings of every version of PEFT that change no update are accepted`() throws {
        let found = try configuration(
            #""auto_mapping": {"a": 1}, "base_model_name_or_path": "b", "bias": "all", "corda_config": null, "#
                + #""eva_config": {"rho": 2}, "exclude_modules": ["a"], "inference_mode": true, "#
                + #""layers_pattern": "h", "layers_to_transform": [1], "loftq_config": {"bits": 4}, "lora_bias": true, "#
                + #""lora_dropout": 0.1, "lora_ga_config": {"a": 1}, "megatron_config": {"a": 1}, "#
                + #""megatron_core": "megatron.core", "merge_weights": true, "modules_to_save": ["a", "b"], "#
                + #""peft_version": "0.18.0", "qalora_group_size": 16, "revision": "main", "runtime_config": {"a": true}, "#
                + #""target_modules": ["q"], "task_type": "CAUSAL_LM", "use_rslora": false, "use_later": false"#)
        #expect(found.biases == .all && found.hasFactorBiases && found.savedModules == ["a", "b"])
    }

    @Test func `patterns that take too many steps are refused`() throws {
        let found = try configuration(#""alpha_pattern": {"(a*)*b": 1, "(a|a)*": 2}"#)
        let modules = (1...50).map { String(repeating: "a", count: $0) + "c" }
        #expect(try found.alphas(of: modules) == Dictionary(uniqueKeysWithValues: modules.map { ($0, 8) }))
        let error = JobFileError.adapterSetting(
            file: FilePath(directory.appending("adapter_config.json")), key: "alpha_pattern", found: "2 patterns",
            expected: "patterns that fit 50 modules in 1000 steps; shorter ones, or fewer")
        #expect(throws: error) { try found.alphas(of: modules, steps: 1000) }
    }

    @Test(arguments: [
        (#""use_dora": true"#, "use_dora", "true", "false; the update of DoRA is not of low rank"),
        (
            #""layer_replication": [[0, 4]]"#, "layer_replication", "[[0,4]]",
            "null; copies of layers are not in the base"
        ),
        (#""use_qalora": true"#, "use_qalora", "true", "false"),
        (#""arrow_config": {"a": 1}"#, "arrow_config", #"{"a":1}"#, "null"),
        (#""alora_invocation_tokens": [1]"#, "alora_invocation_tokens", "[1]", "null"),
        (#""monteclora_config": {"a": 1}"#, "monteclora_config", #"{"a":1}"#, "null"),
        (#""use_kasa": true"#, "use_kasa", "true", "false"),
        (
            #""target_parameters": ["experts"]"#, "target_parameters", #"["experts"]"#,
            "null; factors of experts are not read"
        ),
        (#""trainable_token_indices": [1]"#, "trainable_token_indices", "[1]", "null"),
        (
            #""init_lora_weights": "pissa_niter_4""#, "init_lora_weights", #""pissa_niter_4""#,
            "true, false or one that leaves the base as it is (gaussian, eva)"
        ),
        (
            #""init_lora_weights": "olora""#, "init_lora_weights", #""olora""#,
            "true, false or one that leaves the base as it is (gaussian, eva)"
        ),
        (#""fan_in_fan_out": 1"#, "fan_in_fan_out", "1", "true or false"),
        (
            #""use_later": true"#, "use_later", "true",
            "no setting that is unknown here, because it may change the update; remove it if it does not"
        ),
        (#""bias": "some""#, "bias", #""some""#, #""none", "all", "lora_only""#),
        (#""modules_to_save": "score""#, "modules_to_save", #""score""#, "a list of texts"),
        (#""r": 0"#, "r", "0", "at least 1"),
        (#""rank_pattern": {"q": "a"}"#, "rank_pattern.q", #""a""#, "a finite number"),
        (#""lora_alpha": null"#, "lora_alpha", "null", "a number"), (#""r": null"#, "r", "null", "a number"),
        (#""lora_alpha": "a""#, "lora_alpha", #""a""#, "a finite number"),
        (#""alpha_pattern": [1]"#, "alpha_pattern", "[1]", "an object of patterns"),
        (
            #""alpha_pattern": {"(": 1}"#, "alpha_pattern.(", "1",
            "a regular expression for the paths of modules as its key; a \"(\" has no \")\""
        ),
    ])
    func `a setting with another update is refused by its key`(
        members: String, key: String, found: String, expected: String
    ) throws {
        let file = FilePath(directory.appending("adapter_config.json"))
        let error = JobFileError.adapterSetting(file: file, key: key, found: found, expected: expected)
        #expect(throws: error) { try configuration(members) }
        #expect(
            error.description
                == "\(file): \"\(key)\" is \(found); expected \(expected). Merge the adapter into its model first: "
                + "model.merge_and_unload(), then model.save_pretrained().")
    }

    @Test func `settings at their defaults are accepted`() throws {
        let found = try configuration(
            #""use_dora": false, "layer_replication": null, "init_lora_weights": "gaussian", "alpha_pattern": {}, "#
                + #""target_parameters": null, "fan_in_fan_out": true"#)
        #expect(found.isTransposed)
    }

    @Test func `another method is refused`() throws {
        try directory.write(Array(#"{"peft_type": "IA3"}"#.utf8), to: "adapter_config.json")
        let file = FilePath(directory.appending("adapter_config.json"))
        #expect(
            throws: JobFileError.adapterSetting(
                file: file, key: "peft_type", found: "\"IA3\"", expected: "\"LORA\"")
        ) { try AdapterConfiguration(in: FilePath(directory.path), within: .unlimited) }
    }

    @Test(
        arguments: [
            ("base_model.model.a.q.lora_A.weight", "a.q", .down), ("a.q.lora_B.default.weight", "a.q", .up),
            ("base_model.model.a.q.lora_B.bias", "a.q", .upBias), ("a.q.lora_B.default.bias", "a.q", .upBias),
            ("base_model.model.e.lora_embedding_A", "e", .embeddingDown),
            ("e.lora_embedding_B.default", "e", .embeddingUp), ("q.lora_magnitude_vector", "q", .unknown),
            ("q.lora_A.bias", "q", .unknown), ("q.lora_A.default.extra.weight", "q", .unknown),
            ("base_model.model.score.weight", "score.weight", .replacement),
            ("base_model.model.score.modules_to_save.default.weight", "score.weight", .replacement),
            ("base_model.model.fc.base_layer.bias", "fc.bias", .replacement),
        ] as [(String, String, AdapterTensorName.Role)])
    func `a name tells the module and the role`(name: String, module: String, role: AdapterTensorName.Role) {
        let found = AdapterTensorName(name)
        #expect(found.module == module)
        #expect(found.role == role)
    }

    @Test(arguments: [
        ("/models/base", "/models/base"), ("/models/base.safetensors", "/models/base.safetensors"),
        ("/cache/hub/models--meta-llama--Llama-3.2-1B/snapshots/4e20de36", "meta-llama/Llama-3.2-1B"),
        ("/cache/hub/models--gpt2/snapshots/607a30d7", "gpt2"), ("/models--a--b/snapshots", "/models--a--b/snapshots"),
    ])
    func `a written adapter names its base by its path, or by its name at the Hub`(location: String, name: String) {
        #expect(AdapterWriter.name(ofModelAt: location) == name)
    }
}
