#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout HEAD tests/test_bills.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_bills.py b/tests/test_bills.py
--- a/tests/test_bills.py
+++ b/tests/test_bills.py
@@ -16,3 +16,13 @@
 
 def test_tax():
     assert with_tax("10.00", 19) == Decimal("11.90")
+
+
+def test_shares_add_up():
+    assert split_bill("10.00", 3) == [Decimal("3.34"), Decimal("3.33"), Decimal("3.33")]
+    assert sum(split_bill("0.05", 3)) == Decimal("0.05")
+
+
+def test_half_cents_are_rounded_up():
+    assert with_tax("2.14", 25) == Decimal("2.68")
+    assert with_tax("0.67", 50) == Decimal("1.01")
EOF_114329324912
: '>>>>> Start Test Output'
python -m pytest -rA -p no:cacheprovider tests/test_bills.py
SWEBENCH_TEST_EXIT_CODE=$?
: '>>>>> End Test Output'
echo ">>>>> Test Exit Code: $SWEBENCH_TEST_EXIT_CODE"
git checkout HEAD tests/test_bills.py
