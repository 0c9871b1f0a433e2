"""What stands on the pages: sentences written for them."""
# ruff: noqa: RUF001 - Chinese marks are full width

ENGLISH = (
    "The harbour master keeps a ledger of every tide since the spring of his first year.",
    "Nobody has asked to see it, and he has never offered to read from it aloud.",
    "On quiet mornings the gulls walk along the wall as if they had paid for it.",
    "A small engine under the quay lifts the gate when the water in the basin falls.",
    "It was built by two brothers who later quarrelled about the price of the bolts.",
    "Their names are cast into the frame, one on each side, and face away from each other.",
    "Visitors photograph the lamp but seldom the rope, although the rope does the work.",
    "When the wind turns north the old boats knock together like a slow clock.",
    "The school brings its children here in May and counts them twice on the way back.",
    "Most of the letters in the office are about mooring fees, and most are unpaid.",
    "A map on the stairs shows the sandbanks where they were sixty years ago.",
    "Every winter somebody proposes a new map, and every spring the proposal is lost.",
    "The baker sells bread to the crews before five and coffee to the town after eight.",
    "In the shed behind the bakery a printer repairs machines that no one makes any more.",
    "He learnt the trade from a manual with half its pages missing.",
    "What he could not read he guessed, and what he guessed he wrote in the margin.",
    "Two of his guesses turned out to be better than the printed advice.",
    "The ferry leaves when the flag is lowered and returns when the lamp is lit.",
    "Passengers who are late may wait in the chapel, which is warmer than the pier.",
    "Rain falls on the roof of the market with the sound of distant applause.",
    "By noon the fish are gone and the tables are scrubbed with sand and cold water.",
    "A committee meets on Thursdays to decide which of the three bells is to be repaired.",
    "So far the smallest has won every vote and has not been touched.",
    "Travellers remember the smell of tar long after they have forgotten the view.",
)
ITEMS = (
    "Pack the tools", "Check the oil", "Sign the form", "Call the yard", "Paint the hull",
    "Order new rope", "Clean the lamp", "Count the keys", "Lock the shed", "Feed the cat",
    "Mend the sail", "Read the gauge", "Move the boat", "Empty the bin", "Post the list",
)  # fmt: skip
TITLES = (
    "The harbour in winter", "A ledger of tides", "Three bells", "Notes from the pier",
    "The printer's margin", "What the map shows", "Before the ferry", "Sand and water",
)  # fmt: skip
TERMS = (
    ("basin", "the part of a harbour that a gate closes"),
    ("bollard", "a short post to which ropes are tied"),
    ("ebb", "the falling of the water after high tide"),
    ("fender", "what hangs between a boat and the wall"),
    ("hawser", "a thick rope for towing or mooring"),
    ("quay", "a wall where ships are loaded"),
    ("sluice", "a gate that lets water pass"),
    ("wharf", "a platform beside the water"),
)
ASKED = (
    ("When does the ferry leave?", "At seven, when the flag is lowered."),
    ("Where can I buy a ticket?", "At the kiosk beside the chapel."),
    ("Are dogs allowed on board?", "Yes, on a lead and on deck only."),
    ("Is there parking at the pier?", "For forty cars, behind the market."),
    ("May I bring a bicycle?", "Yes, it travels free of charge."),
)
GOODS = (
    ("Rope, 12 mm", "40", "1.85"), ("Brass cleat", "6", "14.20"), ("Marine paint", "3", "32.50"),
    ("Sail needle", "12", "0.95"), ("Lamp glass", "2", "18.75"), ("Deck brush", "4", "9.40"),
    ("Canvas, 2 m", "5", "27.30"), ("Tar, 5 l", "1", "44.00"),
)  # fmt: skip
CHINESE = (
    "港口的管理员把每一次潮水都记在一本旧账簿里。",
    "没有人要求看它，他也从来不主动念给别人听。",
    "清晨安静的时候，海鸥沿着石墙慢慢地走。",
    "码头下面有一台小机器，水位下降时它把闸门抬起来。",
    "造机器的是两兄弟，后来为了螺丝的价钱吵了一架。",
    "他们的名字铸在铁架的两边，彼此背对着。",
    "游客喜欢拍灯塔，很少有人拍那根绳子。",
    "北风吹来的时候，老船互相碰撞，像一座慢钟。",
    "学校五月带孩子们来这里，回去的路上要数两遍人数。",
    "面包师五点以前把面包卖给船员，八点以后卖咖啡。",
    "面包房后面的小屋里，一个印刷工修理没人再生产的机器。",
    "他看不懂的地方就猜，猜到的就写在页边上。",
    "雨落在市场的屋顶上，声音好像远处的掌声。",
    "中午鱼已经卖完，桌子用沙子和冷水擦得干干净净。",
    "旅客忘记了风景以后，还记得柏油的气味。",
    "渡船在旗子降下时离开，在灯亮起时回来。",
)
VERSES = (
    ("床前明月光", "疑是地上霜", "举头望明月", "低头思故乡"),
    ("白日依山尽", "黄河入海流", "欲穷千里目", "更上一层楼"),
    ("春眠不觉晓", "处处闻啼鸟", "夜来风雨声", "花落知多少"),
    ("千山鸟飞绝", "万径人踪灭", "孤舟蓑笠翁", "独钓寒江雪"),
    ("红豆生南国", "春来发几枝", "愿君多采撷", "此物最相思"),
    ("空山不见人", "但闻人语响", "返景入深林", "复照青苔上"),
)
COUPLETS = (
    ("江山如画", "春风吹绿千山树", "喜雨滋生万里田"),
    ("书香门第", "世事洞明皆学问", "人情练达即文章"),
    ("平安是福", "一年四季行好运", "八方财宝进家门"),
)
JAPANESE = (
    "港の管理人は、潮の記録を古い帳面に毎日つけている。",
    "誰もそれを見せてほしいと言わないし、彼も読み上げたことはない。",
    "静かな朝には、かもめが石の壁の上をゆっくり歩いていく。",
    "桟橋の下には小さな機械があり、水が引くと門を持ち上げる。",
    "それを作った二人の兄弟は、後でねじの値段のことで喧嘩をした。",
    "北風が吹くと、古い舟がぶつかり合って遅い時計のように鳴る。",
    "学校は五月に子どもたちを連れてきて、帰り道で二度数える。",
    "パン屋は五時前に船員にパンを売り、八時過ぎには珈琲を売る。",
    "雨が市場の屋根に落ちて、遠い拍手のように聞こえる。",
    "旅人は景色を忘れた後も、タールの匂いを覚えている。",
)
